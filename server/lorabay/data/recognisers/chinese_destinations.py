"""Chinese addresses by what is said of them: where something is sent, a field, an answer.

What follows such a cue is read up to the next sign and searched for parts that addresses have. How
many there have to be depends on how much the cue says.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_address_parts import BUILDING, NUMBER
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.regions import regions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_LIKELY = 0.81
"""More than a name has, and less than an address with a door or a region."""

_FIELD = re.compile(
    r"(?:(?:[\u4e00-\u9fff]{0,4}(?:地址|住址|地点|新址|户籍|籍贯|所在地)|自提点|提货点|取件点|"
    r"收货点|送货点|网点|定位|位置|新家|老家|宿舍|工地|仓库|门店|(?:停水|停电|停气|断网)范围|报修|"
    r"通讯处|住所|现住|常住|居住地|门牌|起点|终点|出生地|发货地|取货地|接送点|集合点|摊位|档口|"
    r"addr|停放[于在]|停在|快递柜在|店开在|工厂位于|注册在|租住于)"
    r"(?:填的?|写的?|改|变更|更换|换)?[:是为在成到叫]{0,2}[ \"“【\[(]?"
    r"|(?:小区|单位|楼盘|学校|公司|小区名|收|寄件|邮寄|寄往|送往|配送|派送)(?:叫|名|是)?:[ ]?)"
)
_ESTATE = re.compile(
    r"(?:小区|楼盘)(?:名字?)?(?:是|叫|:) ?(?P<place>[\u4e00-\u9fffA-Za-z\d·]{3,9})(?=[,。;\s]|$)"
)
"""An estate by its name alone."""

"""What is called an address."""

_SENT = re.compile(
    r"(?:寄|送|发|邮|改派|派|配送|派送|投递|投|转寄|改寄|快递|包裹|放|搬|迁|住|装|存|停)"
    r"(?:[到至往去在给]了?|在了)?(?:公司|单位|我家|家|我妈家|我爸家|学校|我们?)?[:：]?"
    r"|(?:改成|改到|换成|换到|改为|就是|我家|我们家|家|我妈家?|我爸家?|奶奶家?|爷爷家?)(?:在|住|"
    r"是)?"
    r"|(?:我|人|车|货|件|这里|这边|这儿|现在|目前|门店|仓库)(?:就|还|停|放)?[在是]"
)
"""What is sent, put, or somewhere: an address may follow."""

_ANYWHERE = re.compile(r"(?:^|(?<=[,。;!?、\s\"“【(:]))|[到在去来至往找]")
"""Where a place may begin: only a door makes it an address."""

_BEGINS = re.compile(rf"{_FIELD.pattern}|{_SENT.pattern}|[到在去来至往找]")
"""What another cue begins with, so that the place begins later."""

_SENT_LATER = re.compile("[寄送邮派投搬迁放]|地址")

_STOP = re.compile(
    r"[,。;；!?！？\n\"”】\]|、]|  |[我你您他她它]|(?<![边面旁近])的(?!士)|[了吗呢吧啊哦]|"
    r"[搬寄送改发换移迁]到|哪|什么|怎么|多少|能不能|可以|"
    r"可不|已经|没有|没人|有人|没|就行|就好|就可|都行|谢谢|麻烦|请|有没|是不|还是|不是|因为|一带|"
    r"沿线|附近有|收得|签收|抛锚|上班|办理|等(?![级高])|店还|店有|有货|有网|有店|报价|价格|停电|"
    r"漏水|有"
)
"""What ends the reading to the right."""

_LONGEST, _SHORTEST = 44, 3
_MOST = 3
"""Parts that there have to be where nothing else says that an address is meant."""

_NUMBERED = re.compile(r"[\dA-Z一二三四五六七八九十]")

_WAY = (
    "高速公路|高速|国道|省道|大道|大街|马路|公路|环路|路|街道|街|"
    "巷|胡同|弄堂|镇|乡|苏木|屯|寨|自然村|村委会|村|社区"
)
_HOUSE = (
    "小区|花园|家园|公寓|大厦|广场|新村|公馆|山庄|写字楼|办公楼|商务楼|教学楼|宿舍楼|家属楼|裙楼|"
    "航站楼|大楼|中心|科技园|产业园|软件园|工业园|工业区|创意园|开发区|高新区|园区|校区|生活区|"
    "国际|大学|学院|中学|小学|医院|宿舍|家属院|大院|北里|南里|东里|西里|停车场|市场|批发城|家纺城|"
    "商城|购物中心|机场|车站|火车站|汽车站|高铁站|地铁站|客运站|驿站|码头|仓库|物流园|小镇|基地|"
    "嘉园|佳园|丽园|名苑|华庭|名邸|绿洲|天地|时代"
)
_SHORT_HOUSE = "苑|府|湾|城(?!市)|庭|居|轩|园|邸|阁|墅|岸|寓|邨|坊"
_NUMBERED_HOUSE = "里|院|台|厂|馆|塔|区|期|舍|楼|栋|座"
_DOOR = (
    rf"(?<!第)(?:[附副新临]?{NUMBER}|[一二三四五六七八九十]{{1,3}})(?:号库|组团|{BUILDING}|库|社|"
    rf"舍|村)"
    r"(?:[东南西北中][户门]|之[一二三四五])?"
    r"|K\d{1,4}(?:\+\d{1,3})?(?:处|段)?|[A-Z]{1,2}\d?[座栋区幢塔楼馆]|"
    r"\d{1,2}[ACDEFH](?![A-Za-z\d])|[A-Z]\d{1,4}(?:-\d{1,4})*|\d{1,3}(?:-\d{1,3}){1,3}[A-Z]?"
    r"|(?<![\d.])\d{3,4}[A-Z]?(?![\d元块%米年月日天分度万千百个件台瓦])|\d{1,3}[#栋座幢][A-Z\d]*"
)
_BESIDE = (
    "[东南西北正后侧]门|门口(?:的?(?:[\u4e00-\u9fff]{1,3}[店部市]|[\u4e00-\u9fff]{0,2}超市))?|"
    "对面|旁边?|"
    "隔壁|楼下|后面|商务楼|办公楼|写字楼|宿舍楼|家属楼|教学楼|[裙主副附]楼|[东西南北]侧|"
    "[东西南北]头|停车场|地下室|车库|前台|大堂|门卫室?|保安[亭室]|传达室|岗亭"
)


@cache
def _parts() -> re.Pattern[str]:
    """Return the pattern of the parts of an address."""
    return re.compile(
        rf"(?P<region>(?:{regions().pattern})|[\u4e00-\u9fff]{{1,4}}?[省市县州盟旗](?![场内区委])|"
        rf"[\u4e00-\u9fff]{{1,3}}?[^小校园社商山地城]区(?=[\u4e00-\u9fff]{{2}}))"
        rf"|(?P<door>{_DOOR})"
        rf"|(?P<way>[\u4e00-\u9fff]{{1,6}}?(?:{_WAY})(?:[东南西北中]段|[一二三四五六七八九]段)?)"
        rf"|(?P<house>[\u4e00-\u9fffA-Za-z]{{2,9}}?(?:{_HOUSE})"
        rf"(?:[一二三四五六七八九十]期|[东南西北中]?[区院])?)"
        rf"|(?P<short>[\u4e00-\u9fff]{{2,7}}?(?:"
        rf"(?:{_SHORT_HOUSE})(?=[\dA-Z一二三四五六七八九十东南西北门旁对保岗]|$)|"
        rf"(?:{_NUMBERED_HOUSE})(?=[\dA-Z])))"
        rf"|(?P<beside>(?:{_BESIDE}))"
    )


_AHEAD = re.compile(r"(?:给|公司|单位|我家|家里|学校|一下|:|：|\s|那边|这边|现在|还是|老地方|就)+")
_PLAIN_WORD = re.compile(
    r"(?:哪|同城|全国|全城|外地|国外|门口|楼下|小区|快递柜|驿站|前台|本地|农村|城区|市区|县城|"
    r"村里|镇上|"
    r"北京|上海|广州|深圳)[\u4e00-\u9fff]{0,2}$"
)
_PUBLIC = re.compile(
    r"店|转运|分拨|中转|集散|分拣|(?:客服|服务|呼叫|配送|退货|售后)中心|门票|景区|酒店$|步行街|"
    r"机票|车票|攻略|怎么走|旅游|一日游|几号线|末班"
)
"""What is said of places that are nobody's."""


def find(view: View) -> Iterator[Finding]:
    """Yield addresses."""
    if not view.has_chinese:
        return

    plain = view.plain
    for cue, least in ((_FIELD, 1), (_SENT, 2), (_ANYWHERE, _MOST)):
        for match in cue.finditer(plain):
            if cue is not _ANYWHERE or not _begins_later(plain, match.end()):
                yield from _at(plain, match.end(), least)
    for match in _ESTATE.finditer(plain):
        if not _STOP.search(match["place"]):
            yield Finding(Kind.ADDRESS, *match.span("place"), _LIKELY)
    if view.is_asked_where:
        yield from _answer(plain)


def _begins_later(plain: str, at: int) -> bool:
    """Return whether another cue stands at a place or just after it."""
    later = _SENT_LATER.search(plain, at, at + _LONGEST_NAME)
    return later is not None or _BEGINS.match(plain, at) is not None


def _answer(plain: str) -> Iterator[Finding]:
    """Yield what is an address in the answer to where something is to be sent."""
    for clause in re.finditer(r"[^,。;!?\n]+", plain):
        yield from _at(plain, clause.start(), 1)


def _at(plain: str, at: int, least: int) -> Iterator[Finding]:
    """Yield the address that begins at a place, if it has as many parts as it should."""
    ahead = _AHEAD.match(plain, at)
    at = ahead.end() if ahead else at
    stop = _STOP.search(plain, at, at + _LONGEST)
    value = plain[at : stop.start() if stop else at + _LONGEST].rstrip()
    if least == _MOST and not _NUMBERED.search(value):
        return

    parts = list(_parts().finditer(value))
    if not parts or parts[0].start() > _LONGEST_NAME or _PUBLIC.search(value):
        return

    end = parts[-1].end()
    if end >= _SHORTEST and _weight(parts) >= least and not _PLAIN_WORD.fullmatch(value[:end]):
        yield Finding(Kind.ADDRESS, at, at + end, _LIKELY)


_LONGEST_NAME = 8
"""Characters of a name without a word for what it is, before the first part that has one."""


def _weight(parts: list[re.Match[str]]) -> int:
    """Return how many kinds of parts there are; a way or a house with a door are an address."""
    kinds = [part.lastgroup for part in parts]
    named = len({kind for kind in kinds if kind in ("way", "house", "short", "region")})
    has_door = "door" in kinds
    if has_door and named:
        return 2 + named
    if kinds.count("door") > 1:
        return 2
    return named + ("beside" in kinds and named > 0)

"""Chinese places that have no door: crossings, stations, villages, estates, codes.

A place counts where regions lead to it, or where it is called somebody's place.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_address_parts import ESTATE, SIDE, STREET, WAY
from lorabay.data.recognisers.chinese_addresses import SURE, end_of, start_of
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.regions import regions, short_cities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_LIKELY = 0.82
"""More than a name has, and less than an address with a door."""

_CROSSING = re.compile(
    rf"(?:{WAY})(?:和|与|跟|、|/)?[\u4e00-\u9fff]{{1,5}}?(?:{WAY})(?:路?口|的?交叉口|交汇处?|交界处?|"
    rf"拐角)(?:{SIDE}{{1,2}}(?:角|侧))?"
)
_STATION = re.compile(
    r"(?:地铁|公交|火车|高铁)站(?:[A-Z\d]{1,2}号?出?口)?(?:旁边?|附近|对面|边上|楼上)?的?"
    rf"(?:[\u4e00-\u9fff]{{2,10}}?(?:{ESTATE}|楼)(?=[\dA-Z,。;\s]|$)|(?<=口)|(?<=旁)|(?<=边)|(?<=近)|"
    r"(?<=面))"
)
_VILLAGE = re.compile(
    r"(?:镇|乡|街道|县|区)[\u4e00-\u9fff]{1,8}?(?:自然村|村委会|村|社区|屯|寨|嘎查)"
    r"(?:[一二三四五六七八九十\d]{1,3}(?:组|队|社)|[\u4e00-\u9fff]{2,4}(?:自然村|组))?(?:\d{1,4}号)?"
    r"(?![\u4e00-\u9fff]*(?:怎么|能用))"
)
_CODE = re.compile(r"(?:邮编|邮政编码)(?:是|为)?[: ]{0,2}(?P<code>\d{6})(?!\d)")

_HOME = re.compile(
    r"(?:住在?|搬到|地址[:是为改成]{0,2}|定位(?:是|在)|(?<!工作|地址)我在|收货地[:是]?|现居|位置(?:是|在)|"
    r"(?:寄|送|邮|发|改派|派|配送|放)[到至往])[: ]?"
)
"""What says that somebody's place follows."""

_NAMED = re.compile(
    rf"(?!(?:哪|第|公司|门口|家|这|那|我|你|他|她|楼|驿站|快递|外))[\u4e00-\u9fffA-Za-z\d]{{1,14}}?"
    rf"(?:{STREET}|小区|花园|家园|公寓|大厦|新村|山庄|公馆|苑|城|大楼|写字楼|北里|南里|东里|西里)"
    r"(?:[东西南北正后侧]门)?(?=[,。;!?\s)]|$|门口|楼下|旁|附近|对面|村?口|上班|有人|没人|的)"
)
_NEAR = re.compile(
    r"(?!(?:哪|公司|门口|家|这|那|我|你|他|她))[\u4e00-\u9fff\d]{2,12}?"
    r"(?:对面|旁边|旁|后门|正门|东门|西门|南门|北门|隔壁|楼下|后面|门口)(?:的?[\u4e00-\u9fff]{1,4}(?:里|内|口|店|室))?"
    r"(?=[,。;!?\s接等]|$)"
)
"""Something that everybody knows, and what is beside it."""

_REST = re.compile(
    rf"[\u4e00-\u9fffA-Za-z\d]{{2,24}}?(?:{STREET}|小区|花园|家园|公寓|大厦|广场|新村|社区|苑|园|城|"
    r"中心|大学|学院|校区|基地|医院|中学|小学|大楼|写字楼|机场|码头|"
    rf"村委会|自然村|小镇|市场|嘎查|苏木|寨|屯|工业区|产业区|商业街|{SIDE}里)(?:{SIDE}{{0,2}}[一二三四五六七八九十]?[区期组段])?(?=[,。;\s)的]|$|[A-Z]?\d|旁|附近|对面|北头|南头|东头|西头|这边|那边|这里|停[电水气]|断网|没网|信号|要|能|有没|装|寄|送|怎么)"
)
"""What follows regions up to a street, a village or an estate."""

_GATE = re.compile(
    r"(?:^|(?<=[,。;!?\s]))(?!(?:小区|公寓|我|你|他|她|这|那|哪))"
    r"(?P<place>[\u4e00-\u9fff]{2,8}(?:小区|花园|家园|嘉园|佳园|公寓|新村|苑|绿洲|名邸|公馆))"
    rf"{SIDE}?门?(?:口|门口|楼下|保安室|保安亭|门卫|岗亭|物业|快递柜|传达室|小卖部)"
)
"""An estate at whose gate something is left."""

_AT_GATE = re.compile(
    r"(?:^|(?<=[,。;!?\s到在放至去点:]))(?!(?:小区|公寓|我|你|他|她|这|那|哪))"
    r"(?P<place>[\u4e00-\u9fff]{2,7}(?:花都|华庭|天地|御府|华府|名府|名都|豪庭|雅苑|雅居|新城|花城|绿洲|"
    r"国际|广场|万达|[苑府庭郡湾邸轩墅园里])(?:[东南西北正后侧]门|\d号门))|"
    r"(?:^|(?<=[,。;!?\s到在放至去点:]))(?P<estate>[\u4e00-\u9fff]{2,7}(?:花都|华庭|御府|华府|名都|豪庭|雅苑|"
    r"[苑庭郡邸轩墅])(?=门岗|岗亭|保安|物业|门卫|快递柜|驿站|的?业主))"
)
"""An estate by the name of its gate, or by who keeps it."""

_RESIDENTS = re.compile(
    r"(?P<place>[\u4e00-\u9fff]{2,8}(?:小区|花园|家园|公寓|新村|苑|城|里|区|村))(?:里|内)?的?"
    r"(?:业主|住户|居民|网络又?断|停电|停水|断网|水管|电梯|光纤|没有宽带|加装宽带|没有?信号|物业|没网)"
)
"""An estate that somebody lives in, by what goes wrong there."""


def find(view: View) -> Iterator[Finding]:
    """Yield places."""
    if not view.has_chinese:
        return

    yield from _by_form(view)
    yield from _by_regions(view)
    yield from _by_words(view)


def _by_form(view: View) -> Iterator[Finding]:
    """Yield crossings, stations and codes."""
    plain = view.plain
    for pattern in (_CROSSING, _STATION):
        for match in pattern.finditer(plain):
            start = start_of(plain, match.start())
            if start < match.start() and _HOME_BEFORE.search(view.before(start, 8)):
                yield Finding(Kind.ADDRESS, start, end_of(plain, match.end()), SURE)
    for match in _CODE.finditer(plain):
        yield Finding(Kind.ADDRESS, *match.span("code"), SURE)


_HOME_BEFORE = re.compile(r"(?:在|到|住|是|址|往|至|去|:|,|^)\s?$")


def _by_regions(view: View) -> Iterator[Finding]:
    """Yield what regions lead to: two of them, or one and somebody's place."""
    plain = view.plain
    end = 0
    for match in regions().finditer(plain):
        if match.start() < end:
            continue

        after, count = _more_regions(plain, match.end())
        rest = _REST.match(plain, after) or _VILLAGE.match(plain, after - 1)
        if rest is None:
            rest = _REST.match(plain, match.end())
        is_enough = count >= 2 or _is_home(view, match.start()) or _is_all(view, match, rest)
        if rest is not None and is_enough:
            end = end_of(plain, rest.end())
            yield Finding(Kind.ADDRESS, match.start(), end, _LIKELY)


def _more_regions(plain: str, at: int) -> tuple[int, int]:
    """Return where a row of regions ends that has one before a place, and how many there are."""
    count = 1
    while (another := _short_regions().match(plain, at)) is not None:
        at = another.end()
        count += 1
    return at, count


@cache
def _short_regions() -> re.Pattern[str]:
    """Return the pattern of regions, also of counties that no list has."""
    return re.compile(
        rf"(?:{regions().pattern})|[\u4e00-\u9fff]{{1,3}}(?:市|县|区(?!域)|旗)|"
        rf"(?:{short_cities().pattern})"
    )


def _is_all(view: View, region: re.Match[str], rest: re.Match[str] | None) -> bool:
    """Return whether regions begin the text, and a place and what fails there are all of it."""
    if rest is None or region.start() > 0:
        return False
    return _HERE.match(view.plain, rest.end()) is not None


_HERE = re.compile(
    r"\s*$|附近$|(?:这边|这里|这儿)?(?:停[电水气]|断网|没网|没有?信号|信号)|这边|这里"
)


def _is_home(view: View, start: int) -> bool:
    return view.is_asked_where or _HOME_AT_END.search(view.before(start, 12)) is not None


_HOME_AT_END = re.compile(rf"(?:{_HOME.pattern})$")


def _by_words(view: View) -> Iterator[Finding]:
    """Yield what is called somebody's place."""
    plain = view.plain
    for cue in _HOME.finditer(plain):
        place = _NAMED.match(plain, cue.end()) or _NEAR.match(plain, cue.end())
        if place is not None and not _IS_CITY.fullmatch(place[0]):
            yield Finding(Kind.ADDRESS, place.start(), end_of(plain, place.end()), _LIKELY)

    for match in _AT_GATE.finditer(plain):
        yield Finding(Kind.ADDRESS, *match.span(), _LIKELY)
    for match in (*_RESIDENTS.finditer(plain), *_GATE.finditer(plain)):
        start = start_of(plain, match.end("place"))
        yield Finding(Kind.ADDRESS, start, match.end("place"), _LIKELY)


_IS_CITY = re.compile(
    r"[\u4e00-\u9fff]{1,3}(?:镇|乡)|[县省老新古京]城|同城|全城|农村|小区|新村|大厦|公寓|乡村|道路|铁路"
)

"""Chinese addresses: from the largest region to the door.

An address has a door of some kind: a number in a street or a village, or a building in an estate.
From there it is read to the left up to a region or a word that is in no address, and to the right
through buildings, units, floors and rooms. Places without a door are `chinese_places`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_address_parts import (
    BUILDING,
    DIGIT,
    ESTATE,
    NUMBER,
    SIDE,
    STREET,
    WAY,
)
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.regions import regions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

SURE = 0.88
"""More than a name has: streets have names of people."""

_DOOR = re.compile(
    rf"(?:(?:{STREET}|排|站){SIDE}{{0,2}}(?:{DIGIT}段)?[ ]?{NUMBER}(?:号院?(?!楼|院)|弄)"
    r"|(?:路|大街|大道)[东西南北]?\d{1,4}-\d{1,4}(?![\d-])"
    r"|(?:路|街|巷|大道)[东西南北]?(?:[甲乙丙丁]\d{1,4}|\d{1,4}[甲乙丙丁])(?![方级等])"
    r"|(?:住院部|门诊部|门诊楼|住院楼|外科楼|内科楼|教学楼|实验楼|宿舍楼|综合楼|科技楼|主楼|[东西南北]楼)"
    r"\d{1,2}[楼层](?:\d{1,3}[床室]|[\u4e00-\u9fff]{0,3}(?:站|室|科))?"
    r"|(?:校区|大学|学院|园)\d{1,2}(?:号宿舍楼?|舍)(?:楼下)?(?:\d{3,4})?"
    r"|(?:市场|商贸城|商城|批发城)[\u4e00-\u9fff\d]{0,3}区?\d{1,4}号(?:门|店|铺|档|摊)"
    rf"|(?:{ESTATE}){SIDE}?[ ]?{NUMBER}"
    r"(?:号楼|栋|幢|座|号院|楼(?=[\dA-Z])|号(?=商铺|铺|底商|门面|店面))"
    rf"|(?:{ESTATE})[ ]?\d{{3,4}}(?:室|房)(?!间|型|价|费|源))"
)
"""The end of the name of a street or an estate, and a number."""

_BLOCK = re.compile(
    rf"(?<![\dA-Za-z第])(?:\d{{1,3}}|[A-Z]|{DIGIT}{{1,2}})(?:号楼|栋|幢|座|号院|#楼?)[ ]?"
    r"(?:(?:\d{1,2}|[A-Za-z甲乙丙丁一二三四五六七八九])(?:单元|门|座|梯|层|区)[ ]?)?"
    r"(?:\d{1,2}层?[ ]?)?\d{3,4}(?:室|房|户)?(?![\d年月元点:.%])"
    rf"|(?<![\dA-Za-z第])\d{{1,3}}(?:号楼|栋|幢|#楼?)[ ]?(?:\d{{1,2}}|{DIGIT})单元"
    r"|(?<![\dA-Za-z第])\d{1,2}单元\d{3,4}(?:室|房|户)?(?!\d)"
    r"|(?<![A-Za-z])[A-Z]区\d{2,5}(?:号?档|号?铺)"
)
"""A building with a unit or a room, which nothing but an address has."""

_NAMED_BLOCK = re.compile(
    r"(?<=[\u4e00-\u9fff])(?:\d{1,3}|[A-Z])(?:号楼|栋|幢|号院)(?![盘房们])"
    r"|(?<=[\u4e00-\u9fff])[A-Z]\d{1,2}栋(?![盘房们])"
    r"|(?<=[\u4e00-\u9fff]{3})(?<![码号单版批品件])\d{1,3}#?-\d{1,2}-\d{3,4}(?![\d-])"
    r"|(?<=[苑园区城居府庭里轩邸院湾村期郡墅都台岸街座阁])\d{1,3}-\d{3,4}(?![\d-])"
    r"|(?<=[苑园区城居府庭里轩邸院湾村期])\d{1,3}-\d{1,3}-\d{2,4}(?!\d)"
    r"|(?<=社区)\d{1,3}-\d{1,4}(?!\d)"
)
"""A building after a name, or a row of numbers for building, unit and room."""

_ON = re.compile(
    rf"(?:[ ,]?(?:[\u4e00-\u9fffA-Z]{{2,10}}?(?:{ESTATE})(?![\u4e00-\u9fff]*[了吗呢吧])"
    r"(?=[东西南北]?[ ]?[A-Za-z\d一二三四五六七八九十甲乙丙丁]|[,，。;；\s)]|$)"
    rf"|[东西南北]\d?区\s?(?=[A-Z\d])|院?[内旁]?{NUMBER}(?:{BUILDING})|[东西南北正后侧]门"
    r"|(?:商铺|底商|门面房?|店面|地下室|阁楼|车库)(?=[,。;\s的]|$)"
    rf"|附{NUMBER}号|[东西南北]楼"
    r"|之\d{1,2}|-\d{1,5}|#\d{1,5}|[A-Z]\d?区)"
    r"|[\u4e00-\u9fff]{2,8}(?=[A-Za-z\d]{1,3}(?:座|栋|幢|塔|号楼|单元))"
    r"|,?邮编:?\d{6}(?!\d)|地下(?![一-龥]))"
)
_NAME_AT_END = re.compile(
    r"(?!(?:的|了|是|在|这|那|旁边|楼下|门口|附近|对面|停电|收|签|放|找|能|可|有|我|你|他|她|需|要|"
    r"加装|宽带|网络|电梯|客户|业主|就|和|送|取|装|不|没|又|报修|断|水|办|上|已))"
    r"[\u4e00-\u9fff]{2,8}(?=[,。;\s)]|旁边|附近|对面|$)(?<![了吗呢吧啊哦的])"
    r"|[\u4e00-\u9fff]{2,6}(?=\d{3,4}(?!\d))"
)
"""A name of a building without a word for buildings: only after a number in a street."""

_ROOM = re.compile(
    r"[ -]?(?:[A-Za-z]?\d{1,5}(?:-[A-Za-z]?\d{1,5}){1,3}|[A-Za-z]?\d{2,5}(?:室|房|户)?|"
    r"[A-Za-z]\d{1,5}|\d{1,3}-[A-Z](?![A-Za-z])|\d{1,2}[A-Z]\d{1,3}|\d{1,4}[A-Za-z](?![A-Za-z])|[A-Z](?=[,。;\s]|$)|"
    r"(?<=[楼层座])[A-Z](?![A-Za-z])|(?<=元|层|楼)[一二三四五六七八九十零〇]{2,5}(?=[,。;\s]|$))"
    r"(?![\d年月元点:.%])"
)
_OUTSIDE = re.compile(
    r"[^\u4e00-\u9fffA-Za-z0-9#()·-]|"
    r"[是到寄送至的了我您你他她它离址住往叫把被请让这那给]|(?<!自)在|(?<!乐)从|(?<![经])过(?!街)|改(?!革)|单(?!位)|"
    r"收(?!费站)|货(?!场)|(?<!来)去(?!年)|(?<!华|作)为(?!民)|(?<!解|开)放(?!鹤)|"
    r"(?<![祥中颐永太人平泰天丰共仁谐安怡])和(?![平谐睦顺美园悦泰信兴义熙])"
)
"""What no address holds: the nearest to the door ends the reading to the left."""

_AHEAD = re.compile(
    r"^(?:麻烦|上门|维修|安装|快递|地址|新家|老家|公司|单位|家|直接|邮寄|邮|发|回|换|写|填|就|"
    r"成|位于|于|司机|师傅|你好|您好|帮忙|查一下|查|投诉|报修|"
    r"户籍|所|装机|宽带|自提点|门店|店|安|配|搬|来|门|自提|取件|退|工|位|帮|向)+"
)
_FARTHEST = 36

_CUE = re.compile(
    r"地址|住|寄|送|发到|收件|邮|现居|位置|搬|所在地|装机|上门|我在|在|家|放|业主|小区|宽带|报修|"
    r"停电|漏水|电梯|物业|定位|查"
)
_THERE = re.compile(r"[在住到放至]$")
_COUNTED = re.compile(
    r"(?:一共|总共|共|有|买了|第|这|那|每|几|前|后|新建|各|楼盘|建|和|租|看|订|不是|是)$"
)
"""What stands before a number of buildings that are counted."""


def find(view: View) -> Iterator[Finding]:
    """Yield addresses."""
    if not view.has_chinese:
        return

    plain = view.plain
    end = 0
    for door in _doors(view):
        if door.start() < end:
            continue

        start = start_of(plain, door.start(), end)
        if _is_address(view, door, start):
            end = end_of(plain, door.end())
            yield Finding(Kind.ADDRESS, start, end, SURE)


def _doors(view: View) -> list[re.Match[str]]:
    """Return what may be doors, in order."""
    found = [
        match for pattern in (_DOOR, _BLOCK, _NAMED_BLOCK) for match in pattern.finditer(view.plain)
    ]
    return sorted(found, key=lambda match: (match.start(), -match.end()))


def start_of(plain: str, door: int, least: int = 0) -> int:
    """Return where an address begins whose door is at a place."""
    first = max(least, door - _FARTHEST)
    ahead = plain[first:door]
    region = _first_region(ahead)
    if region is not None:
        return first + region

    for match in _OUTSIDE.finditer(ahead):
        first = max(first, door - len(ahead) + match.end())
    skipped = _AHEAD.match(plain[first:door])
    return first + (skipped.end() if skipped else 0)


def _first_region(ahead: str) -> int | None:
    """Return where the regions begin that lead to a door: nothing but an address follows them."""
    for match in regions().finditer(ahead):
        # 南区 of a university, or 甘肃 in the name of a school in a street: no beginning.
        if _GOES_ON.search(ahead, 0, match.start()) is not None:
            continue
        if not _BETWEEN.search(ahead[match.end() :]):
            return match.start()
    return None


_GOES_ON = re.compile(rf"[\u4e00-\u9fff]{{2}}(?:{WAY}|大学|学院|花园|家园|小区)$")
_BETWEEN = re.compile(r"[,，。;；:：!?！？、\n]|[我您你他她了]|(?<!旁|边|面|近)的")


def end_of(plain: str, at: int) -> int:
    """Return where an address ends, of which more may follow after a place."""
    while True:
        match = _ON.match(plain, at) or _ROOM.match(plain, at)
        if match is None and plain[at - 1 : at] == "号":
            match = _NAME_AT_END.match(plain, at)
        if match is None or match.end() == at:
            return at
        at = match.end()


def _is_address(view: View, door: re.Match[str], start: int) -> bool:
    """Return whether what stands before a door and around it makes it one of an address."""
    name = view.plain[start : door.start()]
    if door.re is _DOOR:
        return len(name) >= 1 and not name.isascii()
    if _COUNTED.search(view.before(door.start(), 6)):
        return False
    if door.re is _BLOCK or "-" in door[0]:
        return True

    is_called = view.is_asked_where or _CUE.search(view.plain) is not None
    is_there = _THERE.search(view.before(door.start(), 2)) is not None
    return is_called and (len(name) >= 2 or is_there)

"""Chinese addresses: from the largest region to the door.

An address has a door of some kind: a number in a street or a village, or a building in an estate.
From there it is read to the left up to a region or a word that is in no address, and to the right
through buildings, units, floors and rooms.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.regions import regions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_NUMBER = r"(?:[A-Za-z]?\d{1,5}(?:-\d{1,4})?|[一二三四五六七八九十百零〇]{1,5}|[甲乙丙丁A-Za-z])"
STREET = (
    "大道|大街|马路|公路|路|街道|街|巷|胡同|弄|道|村|庄|屯|组|队|段|里|条|"
    "园区|开发区|新区|工业园|镇|乡"
)
ESTATE = (
    "小区|花园|家园|公寓|大厦|广场|新村|公馆|山庄|商城|写字楼|大楼|中心|科技园|产业园|创意园|"
    "工业园|园区|校区|"
    "国际|大学|学院|中学|小学|医院|酒店|宾馆|超市|驿站|软件园|基地|宿舍|家属院|苑|园|府|湾|城|庭|居|里|轩|院|村|区|期|坊|邸|阁|座|馆|厂"
)
BUILDING = "号院|号楼|号|栋|幢|座|弄|单元|塔|层|楼|室|房|户|区|期|梯|门|铺|档|院|排|组"
_DOOR = re.compile(
    rf"(?:(?:{STREET})[东西南北中]?(?:[一二三四五六七八九十]段)?[ ]?{_NUMBER}(?:号|弄)"
    rf"|(?:{ESTATE})[东西南北]?[ ]?{_NUMBER}(?:号楼|栋|幢|座|号院|楼(?=\d)))"
)
_NO_DOOR = re.compile(rf"(?:{STREET}|{ESTATE})")
_ON = re.compile(
    rf"(?:[ ,]?(?:[\u4e00-\u9fff]{{2,10}}?(?:{ESTATE})(?![\u4e00-\u9fff]*[了吗呢吧])"
    r"(?=[东西南北]?[ ]?[A-Za-z\d一二三四五六七八九十甲乙丙丁]|[,，。;；\s)]|$)"
    rf"|[东西南北]区(?=\d)|院?[内旁]?{_NUMBER}(?:{BUILDING})|[东西南北正后侧]门|附{_NUMBER}号"
    r"|-\d{1,5}|#\d{1,5})"
    r"|[\u4e00-\u9fff]{2,8}(?=[A-Za-z\d]{1,3}(?:座|栋|幢|塔|号楼|单元)))"
)
_ROOM = re.compile(
    r"[ -]?(?:[A-Za-z]?\d{2,5}(?:-\d{1,5})*(?:室|房|户)?|[A-Za-z]\d{1,4}|"
    r"\d{1,4}-\d{1,5}(?:-\d{1,5})?)(?![\d年月元点:.%])"
)
_OUTSIDE = re.compile(
    r"[^\u4e00-\u9fffA-Za-z0-9#()·-]|"
    r"[在是到寄送至的了我您你他她它离址从改住往去叫把被请让这那给过收货单和为]"
)
_AHEAD = re.compile(
    r"^(?:麻烦|上门|维修|安装|快递|地址|新家|老家|公司|单位|家|直接|邮寄|邮|发|回|换|写|填|就|"
    r"成|位于|于|"
    r"户籍|所|装机|宽带|自提点|门店|店|安|配|搬|来|门|自提|取件|退|工|位|帮|向)+"
)
_FARTHEST = 36
_CUE = re.compile(
    r"地址|住址|住在|寄到|送到|寄回|发到|收件|邮寄|现居|家住|户籍|位置|搬到|所在地|装机|上门"
)
_REGIONS_ONLY = re.compile(
    rf"[\u4e00-\u9fff\d]{{2,14}}?(?:{STREET}|小区|花园|家园|公寓|大厦|广场|新村|苑|园|"
    rf"城)(?=[,，。;；\s]|$)"
)


def find(view: View) -> Iterator[Finding]:
    """Yield addresses."""
    if not view.has_chinese:
        return

    plain = view.plain
    end = 0
    for door in _DOOR.finditer(plain):
        if door.start() < end:
            continue
        start = _start(plain, door.start(), end)
        end = _end(plain, door.end())
        if _is_address(plain, start, door.start()):
            yield Finding(Kind.ADDRESS, start, end, 0.88)
    yield from _without_door(plain)


def _start(plain: str, door: int, least: int) -> int:
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
        if not _BETWEEN.search(ahead[match.end() :]):
            return match.start()
    return None


_BETWEEN = re.compile(r"[,，。;；:：!?！？、\n]|[我您你他她的了]")


def _end(plain: str, at: int) -> int:
    """Return where an address ends, of which more may follow after a place."""
    while True:
        match = _ON.match(plain, at) or _ROOM.match(plain, at)
        if match is None or match.end() == at:
            return at
        at = match.end()


def _is_address(plain: str, start: int, door: int) -> bool:
    """Return whether something stands before the door that is a name of a street or an estate."""
    name = plain[start:door]
    return len(name) >= 1 and not name.isascii()


def _without_door(plain: str) -> Iterator[Finding]:
    """Yield regions in a row with a street or an estate after them, where they are called so."""
    if _CUE.search(plain) is None:
        return
    for match in regions().finditer(plain):
        second = regions().match(plain, match.end())
        if second is None:
            continue
        rest = _REGIONS_ONLY.match(plain, second.end())
        if rest is not None:
            yield Finding(Kind.ADDRESS, match.start(), _end(plain, rest.end()), 0.6)

"""Chinese places that are told rather than written: boxes, troops, motorways, landmarks, answers.

`128信箱5分箱`, `143团5连`, `京沪高速K213+500`, `供销社后面那个红砖房`, `村口第三家`. They have no
street and no estate; a number of their own, or what is beside them, tells where they are.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_address_parts import DIGIT, SIDE
from lorabay.data.recognisers.chinese_addresses import SURE
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.regions import regions, short_cities, short_counties

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_LIKELY = 0.81

_ANY = "\u4e00-\u9fff"
_BOX = re.compile(r"\d{1,6}号?(?:信箱|邮箱)(?:\d{1,4}(?:分箱|分队|号))?(?!里|满|是什么)")
_TROOPS = re.compile(r"(?<!\d)\d{5}部队(?:\d{1,3}分队)?")
_CORPS = re.compile(
    rf"(?:(?:新疆)?(?:生产建设)?兵团)?(?:第?(?:{DIGIT}{{1,2}}|\d{{1,2}})师)?\d{{2,3}}团(?:场)?(?:\d{{1,2}}连|"
    rf"[{_ANY}]{{1,4}}(?:连|小区|镇))"
)
_MOTORWAY = re.compile(
    rf"(?:[GS]\d{{1,4}})?[{_ANY}]{{0,4}}(?:高速|国道|省道)(?:公路)?[{_ANY}]{{0,4}}(?:段|方向)?"
    rf"(?:K\d{{1,4}}(?:\+\d{{1,3}})?(?:处|段)?|[{_ANY}]{{2,5}}(?:出口|收费站|服务区|匝道|互通)(?:辅路)?)"
)
_FORMS = (_BOX, _TROOPS, _CORPS, _MOTORWAY)

_WALK = re.compile(
    rf"[{_ANY}]{{2,10}}(?:路|街|巷|站|桥|口)[{_ANY}]{{0,6}}[往向]{SIDE}(?:走|边)?\d{{2,4}}米"
)
"""How far it is from a road that has a name."""

_PLACE = "后面|前面|对面|旁边|隔壁|边上|楼上|楼下|东边|西边|南边|北边|背后"
_BUILDING = "房子?|院子?|楼上?|平房|瓦房|门面|人家|那家|那户|那栋|棚子|铁门|别墅|仓库"
_BESIDE = re.compile(
    rf"[{_ANY}\d]{{2,8}}?(?:{_PLACE})的?(?:那|第{DIGIT})?(?:个|栋|家|间|幢|座|户)?[{_ANY}]{{0,5}}?(?:{_BUILDING})"
    r"(?=[,。;!?\s]|$)"
)
_IN_VILLAGE = re.compile(
    rf"村[口头尾东西南北中里](?:路口)?(?:往里)?第?(?:{DIGIT}|\d{{1,2}})(?:家|户|栋|排)(?:,[{_ANY}]{{1,3}}(?:有|是|种)[{_ANY}]{{2,8}})?"
)
_BY_HAND = re.compile(
    rf"[左右]手边?第?(?:{DIGIT}|\d)个?[{_ANY}]{{1,4}}?(?:巷子?|胡同|路口|门)[{_ANY}]{{0,8}}(?:家|户|间)"
)
_THERE = re.compile(r"(?:住在?|就?在|到|送|寄|放|是|地址[:是]?|往里走,|^|[,。;!?\s])$")

_ANSWER = re.compile(
    rf"(?:在|是|就在|住|嗯,?)?(?P<place>(?:[A-Z]?\d{{1,3}}|{DIGIT}{{1,2}})(?:号楼|栋|幢|座|单元|号院|弄)"
    rf"|[{_ANY}]{{2,7}}(?:一号|壹号|公馆|家属院|新城|名邸|里|府|湾|苑|城|园|区))[,。!]?"
)
"""What may be all that is said to the question where somebody lives."""

_HOME_TOWN = re.compile(
    r"(?:老家(?:是|在)?|(?:我[妈爸姐哥弟妹]|爷爷|奶奶|外婆|父母|爸妈)(?:家)?(?:在|住)|籍贯:?)"
)


def find(view: View) -> Iterator[Finding]:
    """Yield places."""
    plain = view.plain
    for pattern in _FORMS:
        for match in pattern.finditer(plain):
            yield Finding(Kind.ADDRESS, _with_region(plain, match.start()), match.end(), SURE)

    yield from _told(view)
    yield from _home_towns(plain)
    if view.is_asked_where:
        answer = _ANSWER.fullmatch(plain)
        if answer is not None:
            yield Finding(Kind.ADDRESS, *answer.span("place"), _LIKELY)


def _with_region(plain: str, at: int) -> int:
    """Return where the region begins that stands just before a place."""
    ahead = plain[max(0, at - 8) : at]
    for match in regions().finditer(ahead):
        if match.end() == len(ahead):
            return at - len(ahead) + match.start()
    return at


def _told(view: View) -> Iterator[Finding]:
    """Yield what is beside something, where words before it say that somebody is there."""
    for pattern in (_WALK, _BESIDE, _IN_VILLAGE, _BY_HAND):
        for match in pattern.finditer(view.plain):
            start = match.start() + _cue_within(match[0])
            if start > match.start() or _THERE.search(view.before(start, 6) or "\n"):
                yield Finding(Kind.ADDRESS, start, match.end(), _LIKELY)


def _cue_within(told: str) -> int:
    """Return where a place begins whose pattern took the words before it, too."""
    cue = _CUE_WITHIN.match(told)
    return cue.end() if cue else 0


_CUE_WITHIN = re.compile(
    r"(?:我|快递|麻烦|直接|包裹)?(?:就|家)?(?:住在?|在|送到|送|寄到|放到?|放在)"
)


def _home_towns(plain: str) -> Iterator[Finding]:
    """Yield a city and a county without the words for them, where they are somebody's home."""
    for cue in _HOME_TOWN.finditer(plain):
        match = _town().match(plain, cue.end())
        if match is not None:
            yield Finding(Kind.ADDRESS, *match.span(), _LIKELY)


@cache
def _town() -> re.Pattern[str]:
    """Return the pattern of a city, and a county in it."""
    return re.compile(
        rf"(?:{short_cities().pattern})市?(?:{short_counties().pattern})(?![省国])(?:县|市|区)?"
    )

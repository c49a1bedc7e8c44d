"""Addresses in Latin letters: a number and a street, with what stands before and after them.

A street is found first. Flats and houses before it belong to the address, and flats, cities, states
and codes after it. Places without a number and a street are `english_places`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_address_parts import (
    BRITISH_CODE,
    CODE,
    COUNTRY,
    DIRECTION,
    FLAT,
    HOUSE,
    LONG_TYPE,
    NUMBER,
    NUMBERED_PART,
    PLACE_WORD,
    STATE,
    STATE_NAME,
    TYPE,
    TYPE_THAT_IS_A_WORD,
    WORD,
)
from lorabay.data.recognisers.english_lists import common_words
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

SURE = 0.88
"""More than a name has: streets have names of people."""

_LIKELY = 0.6
_FREE = r"(?<![A-Za-z0-9_.$-])"
"""Nothing that a number could be a part of stands before."""

_ALSO_A_WORD = re.compile(rf"\s(?:{TYPE_THAT_IS_A_WORD}|Plaza|Square|Circle)\.?$")

_STREET = re.compile(
    rf"{_FREE}{NUMBER},?\s(?:{DIRECTION}\s)?(?:{WORD}\s){{1,4}}"
    rf"{TYPE}(?![A-Za-z])\.?(?:\s{DIRECTION}(?![A-Za-z]))?(?:\s\d{{1,3}}(?![\dA-Za-z]))?"
    rf"|{_FREE}\d{{1,5}}[A-Z]?\sThe\s{PLACE_WORD}(?=,)"
)
_NUMBERED = re.compile(
    rf"{_FREE}\d{{1,5}}\s(?:{DIRECTION}\s)\d{{1,3}}(?:st|nd|rd|th)(?![A-Za-z])"
    rf"|{_FREE}\d{{1,5}}\s(?:Highway|Hwy|Route|Rte|County Road|CR|FM|State Road)\s\d{{1,4}}"
    rf"(?:\s{DIRECTION}(?![A-Za-z]))?"
)
"""131 E. 23rd; 2540 Highway 17."""

_MILITARY = re.compile(
    r"(?<![A-Za-z])(?:(?:PSC|Unit)\s\d{1,5},?\sBox\s\d{1,5}|US[A-Z]{1,3}\s[A-Z][a-z]+),?\s"
    r"(?:APO|FPO|DPO)(?=\s(?:AA|AE|AP))"
)
_ROADS = (
    "rue|avenue|boulevard|boul|place|via|viale|piazza|calle|avenida|rua|plaza|paseo|jalan|jln|"
    "lorong|taman"
)
_FOREIGN = re.compile(
    rf"{_FREE}\d{{1,5}}[A-Z]?\s?(?:bis|ter)?,?\s(?i:{_ROADS})\s"
    rf"(?:(?:de|la|du|des|della|del|da|do|dos|l')\s?)*{WORD}(?:\s{WORD}){{0,2}}"
    rf"|(?:Calle|Via|Viale|Rua|Avenida|Rue|Plaza|Piazza|Paseo|Jalan|Taman)\s"
    rf"(?:(?:de|la|del|da|do|dos)\s)*{WORD}(?:\s{WORD}){{0,2}},?\s\d{{1,4}}"
    r"|[A-Z\u00c0-\u00de][\w\u00df-\u00ff.-]*(?:straße|strasse|str\.|weg|platz|allee|gasse|"
    r"laan|straat|gracht|plein|kade)\s\d{1,4}[a-z]?"
    rf"|{_FREE}\d{{1,3}}(?:-\d{{1,3}}){{1,2}}\s{PLACE_WORD}(?=,\s{PLACE_WORD}-(?:ku|shi|cho|gun))"
)
_BY_CODE = re.compile(
    rf"{_FREE}{NUMBER}\s(?:{WORD}\s?){{1,3}}(?:,\s(?:{FLAT}|"
    rf"{WORD}(?:\s{WORD}){{0,2}})){{0,3}},?\s"
    rf"(?:(?:{STATE})\s\d{{5}}(?:-\d{{4}})?|{BRITISH_CODE})(?![\dA-Za-z])"
)
_CALLED = re.compile(
    rf"{_FREE}\d{{1,5}}[A-Za-z]?\s{PLACE_WORD}(?:\s{PLACE_WORD}){{0,2}}"
    rf"(?=,\s(?:(?i:apt|flat|unit|suite|ste|floor)|{PLACE_WORD}[,\s]+(?:{STATE})(?![A-Za-z]))|"
    r"\s*(?:[.!]|$)|\s(?:not|instead|and|please|is|has|needs|to)(?![A-Za-z])|,\s(?:not|near|by|off|next)\s)"
)
"""A number and a name without a kind of street: only where it is called an address."""

_SMALL_TYPE = (
    f"{LONG_TYPE.lower()}|way|ave|rd|blvd|st|dr|ln|ct|pl|pkwy|hwy|cres|terr|grove|hill|walk"
)
_SMALL = re.compile(
    rf"{_FREE}\d{{1,6}}[a-z]? (?:[a-z0-9.'#-]+ ?){{1,5}},? (?:[a-z.'-]+ ?){{1,3}},? "
    rf"(?:{STATE.lower()}) \d{{5}}(?!\d)"
)
_SMALL_STREET = re.compile(
    rf"{_FREE}\d{{1,6}}[a-z]? (?:[a-zA-Z0-9'.-]+ ){{1,3}}?(?:{_SMALL_TYPE})(?![a-z])\.?"
)
_CUE = re.compile(
    r"(?i:address|went to|live at|lives at|living at|live on|moved to|move to|ship|deliver|"
    r"send|sent|mail|located|pick up|collect|come to|to my|property|home|house|place|work|drop|"
    r"leave|bring|change it|update|bill(?:ed|ing)?|post|goes to|go to|rental|tenant|staying|"
    r"visited|office|install\w*|branch|at|number|i'?m|it'?s|old|new|from|return\w*|meter\w*|outage)"
    r"[^.!?]{0,24}$"
)

_NEAR = re.compile(r", (?:near|by|off|next) ")
_LINE_ENDS = re.compile(r"\s*(?:[,.]|$)")

_MORE = (
    re.compile(rf",?\s{FLAT}"),
    re.compile(r",?\s(?:[a-z]{2,9}\s)?(?:apt|apartment|flat|unit|suite|ste|room|#)\.?\s?\w{1,5}"),
    re.compile(r",?\s\d{1,3}(?:st|nd|rd|th)\s[Ff]l(?:oor)?(?![A-Za-z])"),
    re.compile(r",?\s[Ff]l\.?\s\d{1,3}(?!\d)"),
    re.compile(r",\s\d{4,5}(?:\s[A-Z]{2})?\s[A-Z\u00c0-\u00de][\w\u00df-\u00ff-]+"),
    re.compile(rf",?\s(?:{STATE}|{STATE_NAME})(?![A-Za-z])(?:\s{CODE})?"),
    re.compile(rf",?\s(?:{COUNTRY})(?![A-Za-z])(?:\s{CODE})?"),
    re.compile(rf",?\s{CODE}"),
)
_CITY = re.compile(
    rf"(?:,\s|,?\n)(?P<city>{PLACE_WORD}(?:\s(?:{PLACE_WORD}|upon|on|of|\d{{1,2}}(?!\d))){{0,3}})"
    r"(?=[,.;:!?)\s]|$)"
)
_CITY_BY_STATE = re.compile(
    rf"\s(?P<city>{PLACE_WORD}(?:\s{PLACE_WORD}){{0,2}}),?\s(?:{STATE}|{BRITISH_CODE})(?![A-Za-z])"
)
_SMALL_CITY = re.compile(
    r",?\s[a-z]+(?:\s[a-z]+)?,?\s[a-z]{1,2}\d[a-z\d]?\s?\d[a-z]{2}(?![a-z\d])|"
    rf",?\s[a-z]+(?:\s[a-z]+)?,?\s(?:{STATE.lower()})\s\d{{4,5}}(?!\d)|,\s[a-z]+(?:\s[a-z]+)?(?=[.!?]|$)"
)
_CITIES = 3
"""Parts of a city, a district or a county that may follow."""

_BEFORE = re.compile(
    rf"(?:c/o |(?:front desk|{FLAT}|{NUMBERED_PART}|\d/\d),?\s(?:/\s)?"
    rf"|{HOUSE}(?:,\s|,?\n|\s(?={FLAT})))+$"
)
_FARTHEST = 90
"""Characters in which flats and houses may stand before a street."""

_DAYS = frozenset({"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"})

_CITY_WORDS = frozenset(
    "new los san las saint st north south east west fort port mount lake great little upper "  # noqa: SIM905
    "lower london paris berlin madrid rome beijing shanghai tokyo chicago boston seattle "
    "dallas austin houston denver phoenix atlanta miami toronto vancouver sydney melbourne "
    "dublin edinburgh manchester birmingham oxford cambridge washington york park wellington "
    "kingston garden street road".split()
)
"""Words that begin the name of a city, or are one."""


@cache
def _rare_street() -> re.Pattern[str]:
    """Return the pattern of streets of the rarer kinds, such as Underpass or Trafficway."""
    from faker.providers.address.en_US import Provider

    kinds = "|".join(sorted(Provider.street_suffixes))
    return re.compile(
        rf"{_FREE}{NUMBER}\s(?:{DIRECTION}\s)?(?:{WORD}\s){{1,3}}(?:{kinds})(?![A-Za-z])"
    )


def find(view: View) -> Iterator[Finding]:
    """Yield addresses."""
    if not view.has_digit:
        return

    yield from _streets(view)
    yield from _by_code(view)
    yield from _called(view)


def _streets(view: View) -> Iterator[Finding]:
    """Yield what has a number and a street; a kind of street that is a word needs more."""
    plain = view.plain
    for pattern in (_STREET, _FOREIGN, _MILITARY, _NUMBERED, _rare_street()):
        for match in pattern.finditer(plain):
            start = start_of(plain, match.start())
            end = end_of(plain, match.end())

            is_alone = start == match.start() and end == match.end()
            is_doubtful = pattern in (_rare_street(), _NUMBERED) or _ALSO_A_WORD.search(match[0])
            if (
                not (is_alone and is_doubtful)
                or _is_called(view, start)
                or _is_line(view, start, end)
            ):
                yield Finding(Kind.ADDRESS, start, end, SURE)


def _by_code(view: View) -> Iterator[Finding]:
    """Yield what ends in a code, whatever the kind of street is called."""
    for pattern in (_BY_CODE, _SMALL):
        for match in pattern.finditer(view.plain):
            yield Finding(Kind.ADDRESS, start_of(view.plain, match.start()), match.end(), SURE)


def _called(view: View) -> Iterator[Finding]:
    """Yield what is an address because it is called one."""
    plain = view.plain
    for match in _CALLED.finditer(plain):
        first = match[0].split()[1].lower()
        if first not in common_words() and _is_meant(view, match):
            yield Finding(Kind.ADDRESS, match.start(), end_of(plain, match.end()), _LIKELY)

    for match in _SMALL_STREET.finditer(plain):
        if _is_called(view, match.start()) or not view.before(match.start(), 40).strip():
            end = _small_end(plain, end_of(plain, match.end()))
            yield Finding(Kind.ADDRESS, match.start(), end, _LIKELY)


def _is_meant(view: View, match: re.Match[str]) -> bool:
    """Return whether a number and a name are called an address, or are all that stands there."""
    is_all = _is_line(view, match.start(), match.end()) and match[0].count(" ") == 1
    is_near = _NEAR.match(view.after(match.end(), 8)) is not None
    return _is_called(view, match.start()) or (is_all and is_near)


def _is_called(view: View, start: int) -> bool:
    """Return whether the words before a place say that an address follows."""
    return view.is_asked_where or _CUE.search(view.before(start, 40)) is not None


def _is_line(view: View, start: int, end: int) -> bool:
    """Return whether a place is all that stands in a line, up to a comma or a full stop."""
    return not view.before(start, 40).strip() and _LINE_ENDS.match(view.after(end, 2)) is not None


def start_of(plain: str, at: int) -> int:
    """Return where an address begins, of which flats and houses may stand before a place."""
    first = max(0, at - _FARTHEST)
    match = _BEFORE.search(plain[first:at])
    return at if match is None else first + match.start()


def end_of(plain: str, at: int) -> int:
    """Return where an address ends, of which a flat, a city and a code may follow."""
    cities = 0
    while True:
        match = next(filter(None, (pattern.match(plain, at) for pattern in _MORE)), None)
        if match is None and cities < _CITIES:
            match = _city(plain, at)
            cities += 1
        if match is None:
            return at
        at = match.end("city") if "city" in match.re.groupindex else match.end()


def _city(plain: str, at: int) -> re.Match[str] | None:
    """Return the city after a place, if it may be one: `Please` is none."""
    match = _CITY.match(plain, at) or _CITY_BY_STATE.match(plain, at)
    if match is None:
        return None

    first = match["city"].split(maxsplit=1)[0].lower()
    is_place = first not in common_words() or first in _CITY_WORDS
    return match if is_place and first not in _DAYS else None


def _small_end(plain: str, at: int) -> int:
    """Return where an address in small letters ends, of which a city may follow."""
    match = _SMALL_CITY.match(plain, at)
    return at if match is None else match.end()

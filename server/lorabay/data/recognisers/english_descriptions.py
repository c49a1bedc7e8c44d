"""Places in English that are told rather than written: spelt numbers, crossings, roads, landmarks.

`forty-two Birch Avenue`, `Oak St & 3rd Ave`, `the A46 near Bidford`, `the yellow house behind the
church`. What is said of such a place is unlike a form, and so it has patterns of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_address_parts import (
    LONG_TYPE,
    PLACE_WORD,
    TYPE,
    TYPE_THAT_IS_A_WORD,
)
from lorabay.data.recognisers.english_addresses import SURE, end_of, start_of
from lorabay.data.recognisers.english_lists import common_words
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_LIKELY = 0.6

_DIGIT = "one|two|three|four|five|six|seven|eight|nine|zero|oh"
_TEEN = (
    "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|"
    "forty|fifty|sixty|seventy|eighty|ninety|hundred"
)
_SPELT = re.compile(
    rf"(?<![A-Za-z-])(?i:(?:{_DIGIT}|{_TEEN})(?:[- ](?:and |{_DIGIT}|{_TEEN})){{0,4}})"
    rf"(?:\s[A-Da-d])?\s"
    rf"(?:{PLACE_WORD}\s){{1,3}}(?:{LONG_TYPE}|Way|Hill|Row|Close)(?![A-Za-z])"
)

_ORDINAL = (
    r"(?:\d{1,3}(?:st|nd|rd|th)|First|Second|Third|Fourth|Fifth|Sixth|Seventh|Eighth|Ninth|Tenth)"
)
_SIDE = r"(?:(?:[NSEW]|North|South|East|West)\.?\s)?"
_NAMED = rf"{_SIDE}(?:{PLACE_WORD}\s){{1,2}}(?:{TYPE})(?![A-Za-z])\.?"
_NUMBERED = rf"{_SIDE}{_ORDINAL}(?:\s(?:{TYPE})(?![A-Za-z])\.?)?"
_AND = r"\s?(?:&|and|/|@)\s?"
_ANY_ROAD = rf"(?:{_NAMED}|{_NUMBERED}|{_SIDE}{PLACE_WORD})"
_CROSSING = re.compile(
    rf"(?<![A-Za-z\d])(?:{_NAMED}{_AND}(?:{_NAMED}|{_NUMBERED})|{_NUMBERED}{_AND}{_NAMED})(?![a-z])"
)
_CROSSING_CALLED = re.compile(
    rf"(?<![A-Za-z\d])(?:{_NUMBERED}{_AND}{_SIDE}{PLACE_WORD}|{_SIDE}{PLACE_WORD}{_AND}{_NUMBERED}"
    rf"|{_NAMED}{_AND}{_ANY_ROAD}|{_ANY_ROAD}{_AND}{_NAMED})(?![a-z])"
)

_MOTORWAY = re.compile(
    r"(?:the\s)?(?<![A-Za-z\d-])(?:[AMB]\d{1,4}|I-\d{1,3}|US-\d{1,3}|SR-\d{1,3})"
    r"(?:\s(?:north|south|east|west)bound)?,?\s"
    rf"(?:(?:near|outside|at|by|junction|exit|between|towards)\s"
    rf"(?:{PLACE_WORD}(?:\s{PLACE_WORD})?|\d{{1,3}}[A-Z]?)"
    r"|(?:mile ?(?:marker|post)?|MM|km)\s\d{1,4})"
    r"|(?<![A-Za-z])(?:Mile|KM|Km|Milepost)\s\d{1,4},?\s(?:\w+\s){0,3}(?:Highway|Hwy|Road|Route)"
)
_COUNTRY_ROAD = re.compile(
    r"(?<![A-Za-z])(?:\d{1,5}\s)?"
    r"(?:County Road|CR|Farm Road|FM|Forest Road|Range Road|Township Road)"
    r"\s\d{1,4}[A-Z]?(?![\dA-Za-z])"
)
_BLOCK_OF = re.compile(rf"(?:the\s)?\d{{1,2}}00\sblock\sof\s(?:{PLACE_WORD}\s?){{1,3}}")
_TWO_DOORS = re.compile(
    rf"(?<![\d.])\d{{1,4}}\s(?:and|&)\s\d{{1,4}}\s(?:{PLACE_WORD}\s){{1,2}}(?:{TYPE})(?![A-Za-z])"
)

_BUILDING = (
    "house|cottage|farm(?:house)?|bungalow|barn|cabin|caravan|trailer|lodge|villa|gate|building|"
    "shed|driveway|terrace|apartment|flat|garage|chapel|hut"
)
_BESIDE = (
    r"behind|past|next to|opposite|across from|after|before|beside|above|in front of|by the|"
    r"near the|"
    r"down from|up from|round the back of|at the (?:end|top|bottom|back) of|"
    r"on the (?:left|right|corner)"
)
_TOLD = re.compile(
    rf"(?<![A-Za-z])(?i:(?:the|a|our)\s(?:\w+\s){{0,3}}?|(?:first|second|third|last)\s(?:\w+\s)?)"
    rf"(?:{_BUILDING})\s(?:with\s[^.,!?\n]{{3,40}}|(?:{_BESIDE})\s[^.,!?\n]{{3,60}})"
)

_CUE = re.compile(
    r"(?i:live[sd]?|living|based|address|deliver\w*|house|home|flat|parked|outside|accident|crash\w*|"
    r"collision|broke down|stuck|pothole|outage|leak|light|meet|pick(?: \w+)? up|drop|door|shop|"
    r"located|corner|leave it|it'?s|we'?re|i'?m|office|property|near|tenant|junction)[^.!?]{0,24}$"
)
_ON_STREET = re.compile(
    r"(?<![A-Za-z])(?i:liv(?:e|es|ed|ing)|house|flat|parked|door|home|based|outside|stuck|meter|"
    r"accident|crash|collision|outage|leak|broke down)\s(?:is\s)?(?:on|at|in|off|along)\s"
    rf"(?P<street>(?:{PLACE_WORD}\s){{0,3}}(?:{PLACE_WORD}))(?![A-Za-z])"
)
_IS_STREET = re.compile(rf"(?:{LONG_TYPE})$")
_NUMBER_ALONE = re.compile(
    r"(?i:outside|at|live at|it'?s|we'?re|i'?m|to)\s(?P<number>(?:number|no\.?)\s\d{1,4}[A-Za-z]?)"
    r"(?![\w%])"
)

_HAS_STREET = re.compile(rf" (?:{LONG_TYPE}|{TYPE_THAT_IS_A_WORD})(?![a-z])")
_HAS_ROAD = re.compile(r"[AMB]\d|[IR]-\d|US-\d|Mile |KM |Km |Road \d|CR \d|FM \d|00 block")
_IS_CROSSED = re.compile(r"(?<=[A-Za-z.])\s?(?:&|/|@|and )\s?(?=[A-Z\d])")
_IS_TOLD = re.compile(rf" (?:{_BUILDING}) (?:with|{_BESIDE}) ")
"""What is searched first, because it is searched quickly and hardly any text has it."""


def find(view: View) -> Iterator[Finding]:
    """Yield places."""
    plain = view.plain
    yield from _whole(plain)
    if _IS_CROSSED.search(plain):
        yield from _crossings(view)
    if _IS_TOLD.search(plain):
        yield from _told(view)
    if _HAS_STREET.search(plain):
        yield from _on_streets(plain)


def _whole(plain: str) -> Iterator[Finding]:
    """Yield what is a place by its form, with what else of an address is around it."""
    forms = [_SPELT, _TWO_DOORS] if _HAS_STREET.search(plain) else []
    if _HAS_ROAD.search(plain):
        forms += [_MOTORWAY, _COUNTRY_ROAD, _BLOCK_OF]
    for pattern in forms:
        for match in pattern.finditer(plain):
            start = start_of(plain, match.start())
            yield Finding(Kind.ADDRESS, start, end_of(plain, match.end()), SURE)


def _crossings(view: View) -> Iterator[Finding]:
    """Yield two roads that cross; two names alone need words that say that a place is meant."""
    plain = view.plain
    for match in _CROSSING.finditer(plain):
        yield Finding(Kind.ADDRESS, match.start(), end_of(plain, match.end()), SURE)
    for match in _CROSSING_CALLED.finditer(plain):
        if _is_called(view, match.start()) and not _is_ordinary(match[0]):
            yield Finding(Kind.ADDRESS, *match.span(), _LIKELY)


def _told(view: View) -> Iterator[Finding]:
    """Yield a building by what is around it: the yellow house behind the church."""
    for match in _TOLD.finditer(view.plain):
        if _is_called(view, match.start()) or not view.before(match.start(), 24).strip():
            yield Finding(Kind.ADDRESS, *match.span(), SURE)


def _on_streets(plain: str) -> Iterator[Finding]:
    """Yield a street without a number, or a number without a street, where somebody is."""
    for match in _ON_STREET.finditer(plain):
        if _IS_STREET.search(match["street"]):
            yield Finding(Kind.ADDRESS, *match.span("street"), _LIKELY)

    for match in _NUMBER_ALONE.finditer(plain):
        if _ON_STREET.search(plain, match.end()) is not None:
            yield Finding(Kind.ADDRESS, *match.span("number"), _LIKELY)


def _is_called(view: View, start: int) -> bool:
    """Return whether the words before a place say that somebody or something is there."""
    return view.is_asked_where or _CUE.search(view.before(start, 40)) is not None


def _is_ordinary(crossing: str) -> bool:
    """Return whether words of the language are all that would be crossed: Fifth and Final."""
    words = [word.lower() for word in re.findall(r"[A-Z][a-z]+", crossing)]
    has_kind = _IS_STREET.search(crossing) is not None
    return not has_kind and words[-1:] != ["main"] and words[-1] in common_words()

"""Places in Latin letters that have no number and street: boxes, codes, crossings, blocks of flats.

A code counts where it is called one, or if it has the form of a British one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_address_parts import (
    CODE,
    DIRECTION,
    FLAT,
    HOUSE_KIND,
    LONG_TYPE,
    NUMBERED_PART,
    PLACE_WORD,
    STATE,
    STATE_NAME,
    TYPE,
    WORD,
)
from lorabay.data.recognisers.english_addresses import SURE, end_of, start_of
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_LIKELY = 0.6

_BOX = re.compile(
    r"(?<![A-Za-z])(?i:(?:g\.?)?p\.?\s?o\.?\s?box|post office box|locked bag|private bag)"
    r"\s(?:no\.?\s)?[A-Z]?\d{1,7}(?:-\d{1,5})?(?:,?\s(?:[A-Z][a-z]+\s){1,2}\d{4}(?!\d))?"
    r"|(?<![A-Za-z])(?:BFPO|CMR|PMB)\s\d{1,5}(?:,?\sBox\s\d{1,5})?"
    rf"|(?<![A-Za-z])RD\s\d{{1,2}},\s{PLACE_WORD}(?:\s\d{{4}})?"
    r"|(?<![A-Za-z])(?:RR|R\.R\.|Rural Route|HC)\s\d{1,3},?\sBox\s\d{1,5}"
)
_CODE_CALLED = re.compile(
    r"(?i:zip(?:[ -]?code)?|post(?:al)?[ -]?code|eircode|pin ?code)(?:\s(?:is|was|now))?[\s:=]{1,3}"
    rf"(?P<code>{CODE}|\d{{4,6}}(?!\d)|[a-z]{{1,2}}\d[a-z\d]?\s?\d[a-z]{{2}}(?![a-z\d]))"
)
_BRITISH = re.compile(
    r"(?<![A-Za-z0-9-])(?:A[BL]|B[ABDHLNRST]?|C[ABFHMORTVW]|D[ADEGHLNTY]|E[CHNX]?|F[KY]|G[LUY]?|"
    r"H[ADGPRSUX]|I[GMPV]|JE|K[ATWY]|L[ADELNSU]?|M[EKL]?|N[EGNPRW]?|O[LX]|P[AEHLOR]|R[GHM]|"
    r"S[AEGKLMNOPRSTWY]?|T[ADFNQRSW]|UB|W[ACDFNRSV]?|YO|ZE)"
    r"\d[A-Z\d]?\s\d[ABD-HJLNP-UW-Z]{2}(?![A-Za-z0-9-])"
)
_CODE_ALONE = re.compile(rf"(?<![A-Za-z0-9-]){CODE}(?=\s*[.!,]?\s*$)")
"""A code at the end of an answer."""

_ANSWER = re.compile(
    r"(?:(?:it'?s|yes|sure|number|no\.?|flat)[, ]+){0,2}"
    rf"(?P<place>\d{{1,5}}[A-Za-z]?|{PLACE_WORD}(?:\s{PLACE_WORD})?,\s(?:{STATE_NAME}|{STATE}))(?=[.,!]|\s*$)"
)
"""A number of a house, or a city and a state, as an answer."""

_CODE_NO_MORE = re.compile(r"(?i:model|sku|part|version|serial|size|item|type)\W{0,3}$")

_ROAD = rf"(?:(?:{DIRECTION}\s)?(?:{WORD}\s){{0,2}}{WORD}(?:\s(?:{TYPE}))?)"
_CROSSING = re.compile(
    rf"(?:the\s)?(?i:corner|intersection|junction) of {_ROAD}\s(?:and|&)\s{_ROAD}(?![A-Za-z])"
)
_BLOCKS = re.compile(
    rf"(?<![A-Za-z0-9]){FLAT}(?:,?\s{FLAT})*,?\s(?:{PLACE_WORD}\s){{0,3}}"
    rf"(?:{PLACE_WORD})(?:\s(?:{HOUSE_KIND}|{TYPE}))(?:\s\d{{1,3}}(?!\d))?(?![A-Za-z])"
    rf"|(?:{PLACE_WORD}\s){{1,2}}(?:{HOUSE_KIND}),?\s(?:(?:[Rr]oom|[Rr]m|[Ff]lat)\.?\s\d{{1,4}}[A-Z]?|[A-Z]-\d{{1,4}})(?!\w)"
    rf"|(?<![A-Za-z0-9]){FLAT}(?:,\s(?:{FLAT}|{NUMBERED_PART}))+(?=,\s{PLACE_WORD})"
    rf"|(?<![A-Za-z])(?:flat|apartment|apt|unit)\s\d{{1,4}}[a-z]?,?\s(?:[a-z]+\s){{1,2}}"
    r"(?:house|court|lodge|tower|mansions?|close|gardens)(?![a-z])"
)
"""Flat 22 Ashdown Court; Flat 12, Block 3, Whampoa Garden; flat 9 brook house."""

_HOUSE_IN_STREET = re.compile(
    rf"(?:The\s)?(?:{PLACE_WORD}\s){{1,2}}(?:House|Cottage|Lodge|Farm|Rectory|Vicarage|Manor|Hall|"
    rf"Mill|Barn|Court|Villa)(?:,\s|,?\n)(?:{PLACE_WORD}\s){{1,3}}(?:{LONG_TYPE}|St|Rd|Ave|Ln|Hill)"
    r"(?![A-Za-z])"
)
"""Rose Cottage, Mill Lane."""

_NUMBER_LAST = re.compile(
    rf"(?:{PLACE_WORD}\s){{1,2}}(?:{LONG_TYPE}),?\s(?:number|no\.?|nr\.?)\s\d{{1,5}}[a-z]?"
    r"|(?:County Road|Highway|Route|Rural Road)\s\d{1,4},\s(?:mile|km|lot|box)\s\d{1,4}"
)


def find(view: View) -> Iterator[Finding]:
    """Yield places."""
    yield from _with_more(view, (_HOUSE_IN_STREET, _CROSSING))
    if view.has_digit:
        yield from _with_more(view, (_BOX, _BLOCKS, _NUMBER_LAST))
        yield from _codes(view)


def _with_more(view: View, patterns: tuple[re.Pattern[str], ...]) -> Iterator[Finding]:
    """Yield what has one of some forms, with the city and the code after it."""
    plain = view.plain
    for pattern in patterns:
        for match in pattern.finditer(plain):
            start = start_of(plain, match.start())
            yield Finding(Kind.ADDRESS, start, end_of(plain, match.end()), SURE)


def _codes(view: View) -> Iterator[Finding]:
    """Yield codes that stand alone."""
    if view.is_asked_where:
        answer = _CODE_ALONE.search(view.plain) or _ANSWER.match(view.plain)
        if answer is not None:
            group = "place" if answer.re is _ANSWER else 0
            yield Finding(Kind.ADDRESS, *answer.span(group), SURE)

    for match in _CODE_CALLED.finditer(view.plain):
        yield Finding(Kind.ADDRESS, *match.span("code"), SURE)

    for match in _BRITISH.finditer(view.plain):
        if _CODE_NO_MORE.search(view.before(match.start(), 16)) is None:
            yield Finding(Kind.ADDRESS, *match.span(), _LIKELY)

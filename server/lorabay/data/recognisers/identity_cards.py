"""Chinese identity cards: eighteen digits, the last a check digit or X; fifteen where called so."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from lorabay.data.recognisers.cues import is_called
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.view import GAP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_CARD = re.compile(rf"(?<!\d)[1-8](?:{GAP}{{0,2}}\d){{16}}{GAP}{{0,2}}[\dXx](?![\dA-Za-z])")
_FIRST_GENERATION = re.compile(r"(?<!\d)[1-8]\d{14}(?!\d)")
_CUE = re.compile(r"身份证|证件|身分证|(?i:(?<![a-z])(?:id|identity)(?![a-z]))")
_PROVINCES = (
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 "
    "71 81 82 83"
)


def find(view: View) -> Iterator[Finding]:
    """Yield numbers of identity cards."""
    if not view.has_digit:
        return

    for reading in {view.plain, view.digits}:
        for match in _CARD.finditer(reading):
            number = re.sub(GAP, "", match[0]).upper()
            if is_card(number):
                yield Finding(Kind.IDENTITY_CARD, *match.span(), 0.95)
            elif _is_born(number[6:14]) and is_called(view, *match.span(), _CUE, after=6):
                # Mistyped, but meant.
                yield Finding(Kind.IDENTITY_CARD, *match.span(), 0.6)

    for match in _FIRST_GENERATION.finditer(view.plain):
        number = match[0]
        if _has_place(number) and _is_born(f"19{number[6:12]}"):
            score = 0.7 if is_called(view, *match.span(), _CUE, after=6) else 0.2
            yield Finding(Kind.IDENTITY_CARD, *match.span(), score)


def is_card(number: str) -> bool:
    """Return whether eighteen characters have a province, a day and the check digit of a card."""
    from stdnum.cn import ric

    if not _has_place(number) or not _is_born(number[6:14]):
        return False
    return bool(ric.calc_check_digit(number) == number[-1])


def _has_place(number: str) -> bool:
    return number[:2] in _PROVINCES.split()


def _is_born(day: str) -> bool:
    try:
        born = date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return False
    return 1800 <= born.year <= 2099

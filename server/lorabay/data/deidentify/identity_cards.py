"""Surrogates of identity cards: a place, a birth and a check digit that are right."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from lorabay.data.deidentify.counties import areas
from lorabay.data.deidentify.writing import compact, rewritten

if TYPE_CHECKING:
    from lorabay.data.deidentify.keys import Draws, Key

_OLD_LENGTH = 15
"""Digits of a card of the first generation, which has two for the year and no check digit."""

_NEAR = 700
"""Days by which the other birth differs at most."""


def identity_card(text: str, key: Key) -> str:
    """Return another card of the same province and sex, of a birth within two years."""
    written = compact(text)
    number = written.upper()
    is_old = len(number) == _OLD_LENGTH
    birth = f"19{number[6:12]}" if is_old else number[6:14]
    sex = int(number[14 if is_old else 16]) % 2

    draws = key.draws("IDENTITY_CARD", number)
    born = _born(birth, draws)
    places = areas(number[:2], int(born[:4]))
    place = draws.choice(places) if places else number[:6]
    sequence = f"{draws.below(500) * 2 + sex:03}"

    if is_old:
        return rewritten(text, f"{place}{born[2:]}{sequence}")

    made = _with_check_digit(f"{place}{born}{sequence}")
    return rewritten(text, made.lower() if written[-1].islower() else made)


def _with_check_digit(number: str) -> str:
    from stdnum.cn import ric

    return f"{number}{ric.calc_check_digit(f'{number}0')}"


def _born(day: str, draws: Draws) -> str:
    """Return another day near one, both as eight digits."""
    born = date(int(day[:4]), int(day[4:6]), int(day[6:]))
    days = 1 + draws.below(_NEAR)
    is_later = draws.below(2)
    other = born + timedelta(days=days if is_later else -days)
    return f"{other:%Y%m%d}"

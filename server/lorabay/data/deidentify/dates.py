"""Surrogates of dates of birth: another day of a year near by, written alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.deidentify.keys import Draws, Key

_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"[A-Za-z]{3,}")
_YEAR_OF_MONTHS = (
    "January February March April May June July August September October November December"
)
_MONTHS = _YEAR_OF_MONTHS.split()
_NUMERALS = "〇一二三四五六七八九"
_SPELT = re.compile(
    r"(?P<year>[一二][九〇零][〇零一-龥]{2})年(?P<month>[一-龥]{1,2})月(?P<day>[一-龥]{1,3})(?=[日号])"
)
_NEAREST, _FARTHEST = 1, 3


def birth_date(text: str, key: Key) -> str:
    """Return another date in the same form."""
    plain = View(text).plain
    draws = key.draws("BIRTH_DATE", "".join(plain.lower().split()))
    spelt = _SPELT.match(plain)
    if spelt is not None:
        return _spelt(spelt, draws) + plain[spelt.end() :]

    # A day of up to twelve is one wherever the month stands.
    days = 28 if _WORD.search(plain) or re.match(r"\d{4}", plain) else 12
    tokens = _NUMBER.findall(plain)
    new = iter([_drawn(tokens, place, days, draws) for place in range(len(tokens))])
    made = _NUMBER.sub(lambda _: next(new), plain)
    return _WORD.sub(lambda match: _month(match[0], draws), made)


def _drawn(tokens: Sequence[str], place: int, days: int, draws: Draws) -> str:
    """Return another number for one of a date, as wide as it is."""
    token = tokens[place]
    if len(token) == 8:
        return f"{_year(token[:4], draws)}{1 + draws.below(12):02}{1 + draws.below(28):02}"
    if _is_year(tokens, place):
        return _year(token, draws)

    most = days if place == len(tokens) - 1 or len(tokens) == 2 else 12
    if len(token) == 1 or token.startswith("0"):
        return f"{1 + draws.below(9):0{len(token)}}"
    return str(10 + draws.below(most - 9))


def _is_year(tokens: Sequence[str], place: int) -> bool:
    if len(tokens[place]) == 4:
        return True
    has_long = any(len(token) == 4 for token in tokens)
    # 87年3月21日 has its year in front, 21.3.87 at its end.
    return not has_long and len(tokens) == 3 and place == (0 if int(tokens[0]) > 31 else 2)


def _year(token: str, draws: Draws) -> str:
    shift = _NEAREST + draws.below(_FARTHEST)
    year = int(token) + (shift if draws.below(2) else -shift)
    return f"{year % 100:02}" if len(token) == 2 else str(year)


def _month(word: str, draws: Draws) -> str:
    known = [month for month in _MONTHS if month.lower().startswith(word.lower()[:3])]
    if not known:
        return word
    month = draws.choice(_MONTHS)
    short = len(word) < len(known[0])
    return _cased(month[:3] if short else month, word)


def _cased(new: str, old: str) -> str:
    if old.isupper():
        return new.upper()
    return new.lower() if old.islower() else new


def _spelt(match: re.Match[str], draws: Draws) -> str:
    year = int("".join(str(_NUMERALS.index(char.replace("零", "〇"))) for char in match["year"]))
    shown = "".join(_NUMERALS[int(digit)] for digit in _year(str(year), draws))
    return f"{shown}年{_in_numerals(1 + draws.below(12))}月{_in_numerals(1 + draws.below(28))}"


def _in_numerals(number: int) -> str:
    tens, ones = divmod(number, 10)
    head = "" if tens == 0 else ("十" if tens == 1 else f"{_NUMERALS[tens]}十")
    return head + (_NUMERALS[ones] if ones else "")

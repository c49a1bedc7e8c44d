"""Surrogates of dates of birth: another day of a year near by, written alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.deidentify.keys import Draws, Key

_NEAREST, _FARTHEST = 1, 3
"""Years by which the other date differs, at least and how many choices there are."""

_MONTHS_OF_A_YEAR, _DAYS_OF_ALL_MONTHS = 12, 28
_DATE_IN_DIGITS, _YEAR_IN_DIGITS = 8, 4

_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"[A-Za-z]{3,}")
_YEAR_FIRST = re.compile(r"\d{4}")

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_NUMERALS = "〇一二三四五六七八九"
_SPELT = re.compile(
    r"(?P<year>[一二][九〇零][〇零一-龥]{2})年(?P<month>[一-龥]{1,2})月(?P<day>[一-龥]{1,3})(?=[日号])"
)
"""A date in Chinese numerals, such as 一九八七年三月二十一日."""


def birth_date(text: str, key: Key) -> str:
    """Return another date in the same form."""
    plain = View(text).plain
    draws = key.draws("BIRTH_DATE", "".join(plain.lower().split()))

    spelt = _SPELT.match(plain)
    if spelt is not None:
        return _in_words(spelt["year"], draws) + plain[spelt.end() :]
    return _in_digits(plain, draws)


def _in_digits(plain: str, draws: Draws) -> str:
    """Return another date with its numbers, and its month if that is a word, drawn anew."""
    tokens = _NUMBER.findall(plain)
    most = _most_days(plain)

    drawn = iter([_number(tokens, place, most, draws) for place in range(len(tokens))])
    made = _NUMBER.sub(lambda _: next(drawn), plain)
    return _WORD.sub(lambda match: _month(match[0], draws), made)


def _most_days(plain: str) -> int:
    """Return the largest day that is one wherever the month stands in a date."""
    says_which = _WORD.search(plain) or _YEAR_FIRST.match(plain)
    return _DAYS_OF_ALL_MONTHS if says_which else _MONTHS_OF_A_YEAR


def _number(tokens: Sequence[str], place: int, most_days: int, draws: Draws) -> str:
    """Return another number for one of a date, as wide as it is."""
    token = tokens[place]
    if len(token) == _DATE_IN_DIGITS:
        year = _year(token[:_YEAR_IN_DIGITS], draws)
        month = 1 + draws.below(_MONTHS_OF_A_YEAR)
        day = 1 + draws.below(_DAYS_OF_ALL_MONTHS)
        return f"{year}{month:02}{day:02}"
    if _is_year(tokens, place):
        return _year(token, draws)

    is_one_digit = len(token) == 1 or token.startswith("0")
    if is_one_digit:
        return f"{1 + draws.below(9):0{len(token)}}"

    is_day = place == len(tokens) - 1 or len(tokens) == 2
    most = most_days if is_day else _MONTHS_OF_A_YEAR
    return str(10 + draws.below(most - 9))


def _is_year(tokens: Sequence[str], place: int) -> bool:
    """Return whether a number of a date is its year."""
    if len(tokens[place]) == _YEAR_IN_DIGITS:
        return True

    has_long = any(len(token) == _YEAR_IN_DIGITS for token in tokens)
    if has_long or len(tokens) != 3:
        return False

    # 87年3月21日 has its year in front, 21.3.87 at its end.
    is_first = int(tokens[0]) > 31
    return place == (0 if is_first else 2)


def _year(token: str, draws: Draws) -> str:
    """Return a year near one, with as many digits."""
    shift = _NEAREST + draws.below(_FARTHEST)
    is_later = draws.below(2)
    year = int(token) + (shift if is_later else -shift)
    return f"{year % 100:02}" if len(token) == 2 else str(year)


def _month(word: str, draws: Draws) -> str:
    """Return another month for a month, as short or long; a word that is none stays."""
    known = _known_month(word)
    if known is None:
        return word

    drawn = draws.choice(_MONTHS)
    is_short = len(word) < len(known)
    return _cased(drawn[:3] if is_short else drawn, word)


def _known_month(word: str) -> str | None:
    """Return the month that begins like a word."""
    begins = word.lower()[:3]
    return next((month for month in _MONTHS if month.lower().startswith(begins)), None)


def _cased(new: str, old: str) -> str:
    """Return a word in the case of another."""
    if old.isupper():
        return new.upper()
    return new.lower() if old.islower() else new


def _in_words(year: str, draws: Draws) -> str:
    """Return another date in Chinese numerals, up to its day."""
    digits = [str(_NUMERALS.index(char)) for char in year.replace("零", "〇")]
    drawn = _year("".join(digits), draws)
    shown = "".join(_NUMERALS[int(digit)] for digit in drawn)

    month = _numeral(1 + draws.below(_MONTHS_OF_A_YEAR))
    day = _numeral(1 + draws.below(_DAYS_OF_ALL_MONTHS))
    return f"{shown}年{month}月{day}"


def _numeral(number: int) -> str:
    """Return a number below a hundred in Chinese numerals, such as 二十一."""
    tens, ones = divmod(number, 10)
    last = _NUMERALS[ones] if ones else ""
    if tens == 0:
        return last
    return f"十{last}" if tens == 1 else f"{_NUMERALS[tens]}十{last}"

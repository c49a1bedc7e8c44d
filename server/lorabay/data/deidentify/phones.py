"""Surrogates of phone numbers: of the same country and network, and written alike."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from lorabay.data.deidentify.writing import compact, redrawn, rewritten

if TYPE_CHECKING:
    from lorabay.data.deidentify.keys import Key

COUNTRIES = ("86", "1", "44", "61", "91", "49", "33", "65", "852")
"""Where a number without a country may be from."""

_CHINA, _AMERICA = COUNTRIES[:2]
_CHINESE_DIGITS = 11
_CHINESE_MOBILE = re.compile("1[3-9][0-9]{9}")
_AMERICAN = re.compile("12[0-9]{2}[2-9][0-9]{6}")
_LEAST_HEAD, _LONGEST_TAIL = 3, 8
_TRIES = 64


def phone(text: str, key: Key) -> str:
    """Return another number of the same network; the same for all ways to write a number."""
    digits = compact(text)
    country = _country(text, digits)
    national = digits[len(country) :].lstrip("0")
    prefix = digits[: len(digits) - len(national)]

    size = max(_LEAST_HEAD, len(national) - _LONGEST_TAIL)
    head, tail = national[:size], national[size:]

    draws = key.draws("PHONE", national)
    begins = _begins(country, prefix, national)
    for _ in range(_TRIES):
        drawn = redrawn(tail, draws)
        if drawn != tail and all(_is_valid(begin + head + drawn) for begin in begins):
            break
    return rewritten(text, prefix + head + drawn)


def _country(text: str, digits: str) -> str:
    """Return the digits that stand for going abroad and for a country; "" if there are none."""
    from phonenumbers import NumberParseException, parse

    abroad = "00" if digits.startswith("00") else ""
    has_plus = "+" in text or "＋" in text
    if not abroad and not has_plus:
        is_chinese = digits.startswith(_CHINA) and len(digits) == len(_CHINA) + _CHINESE_DIGITS
        if is_chinese:
            return _CHINA
        return _AMERICA if _AMERICAN.fullmatch(digits) else ""

    try:
        number = parse(f"+{digits[len(abroad) :]}")
    except NumberParseException:
        return abroad
    return f"{abroad}{number.country_code}"


def _begins(country: str, prefix: str, national: str) -> list[str]:
    """Return the countries of which a number is one, as what stands before the national number.

    They follow from the national number, so that they are the same whether its own is named or not.
    """
    begins = [_CHINA] if _CHINESE_MOBILE.fullmatch(national) else list(COUNTRIES)
    if country and country.removeprefix("00") not in begins:
        begins.append(prefix.removeprefix("00"))
    return [begin for begin in begins if _is_valid(begin + national)]


@lru_cache(maxsize=1 << 12)
def _is_valid(digits: str) -> bool:
    from phonenumbers import NumberParseException, is_valid_number, parse

    try:
        parsed = parse(f"+{digits}")
    except NumberParseException:
        return False
    return bool(is_valid_number(parsed))

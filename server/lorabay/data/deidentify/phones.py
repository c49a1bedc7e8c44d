"""Surrogates of phone numbers: of the same country and network, and written alike."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from lorabay.data.deidentify.writing import compact, redrawn, rewritten

if TYPE_CHECKING:
    from lorabay.data.deidentify.keys import Key

REGIONS = ("US", "CN", "GB", "AU", "IN", "DE", "FR", "SG", "HK")
"""Where a number without a country may be from, in the order in which it is tried."""

ANYWHERE = ""
"""The region of a number that says its country itself."""

_CHINA = "86"
_CHINESE_MOBILE = 11
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
    region = _region(country, digits)
    for _ in range(_TRIES):
        drawn = redrawn(tail, draws)
        if drawn == tail:
            continue
        if region is None or _is_valid(prefix + head + drawn, region):
            break
    return rewritten(text, prefix + head + drawn)


def _country(text: str, digits: str) -> str:
    """Return the digits that stand for going abroad and for a country; "" if there are none."""
    from phonenumbers import NumberParseException, parse

    abroad = "00" if digits.startswith("00") else ""
    has_plus = "+" in text or "＋" in text
    if not abroad and not has_plus:
        is_chinese = digits.startswith(_CHINA) and len(digits) == len(_CHINA) + _CHINESE_MOBILE
        return _CHINA if is_chinese else ""

    try:
        number = parse(f"+{digits[len(abroad) :]}")
    except NumberParseException:
        return abroad
    return f"{abroad}{number.country_code}"


def _region(country: str, digits: str) -> str | None:
    """Return the region in which a number is one; None if it is nowhere."""
    if country:
        return ANYWHERE if _is_valid(digits, ANYWHERE) else None

    for region in REGIONS:
        if _is_valid(digits, region):
            return region
    return None


@lru_cache(maxsize=1 << 12)
def _is_valid(digits: str, region: str) -> bool:
    from phonenumbers import NumberParseException, is_valid_number, parse

    number = digits if region else f"+{digits.removeprefix('00')}"
    try:
        parsed = parse(number, region or None)
    except NumberParseException:
        return False
    return bool(is_valid_number(parsed))

"""Surrogates of numbers: as long, written alike, and with a check digit that is right.

What tells no person stays: the country and the network of a phone, the issuer of a card, the
province of an identity card, the type of a company.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from lorabay.data.deidentify.writing import (
    DIGITS,
    UPPER,
    compact,
    redrawn,
    rewritten,
)

if TYPE_CHECKING:
    from lorabay.data.deidentify.keys import Draws, Key

PHONE_REGIONS = ("US", "CN", "GB", "AU", "IN", "DE", "FR", "SG", "HK")
"""Where a number without a country may be from, in the order in which it is tried."""

_TRIES = 64
_COUNTY_YEARS = re.compile(r"\[(?P<first>\d*)-(?P<last>\d*)\]")
_RECENTLY = 2015
_TAIL = 8
_CODE_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def phone(text: str, key: Key) -> str:
    """Return another number of the same network; the same for all ways to write a number."""
    digits = compact(text)
    country = _country(text, digits)
    national = digits[len(country) :].lstrip("0")
    prefix = digits[: len(digits) - len(national)]
    head = national[: max(3, len(national) - _TAIL)]
    tail = national[len(head) :]

    draws = key.draws("PHONE", national)
    region = _region(country, digits)
    for _ in range(_TRIES):
        drawn = redrawn(tail, draws)
        if drawn != tail and (region is None or _is_valid(prefix + head + drawn, region)):
            break
    return rewritten(text, prefix + head + drawn)


def _country(text: str, digits: str) -> str:
    """Return the digits that stand for going abroad and for a country."""
    from phonenumbers import NumberParseException, parse

    zeros = "00" if digits.startswith("00") else ""
    if not zeros and "+" not in text and "＋" not in text:
        return "86" if digits.startswith("86") and len(digits) == 13 else ""
    try:
        return f"{zeros}{parse('+' + digits[len(zeros) :]).country_code}"
    except NumberParseException:
        return zeros


def _region(country: str, digits: str) -> str | None:
    """Return the region in which a number is one; "" for all, None for nowhere."""
    if country:
        return "" if _is_valid(digits, "") else None
    return next((region for region in PHONE_REGIONS if _is_valid(digits, region)), None)


@lru_cache(maxsize=1 << 12)
def _is_valid(digits: str, region: str) -> bool:
    from phonenumbers import NumberParseException, is_valid_number, parse

    number = digits if region else f"+{digits.removeprefix('00')}"
    try:
        return bool(is_valid_number(parse(number, region or None)))
    except NumberParseException:
        return False


def identity_card(text: str, key: Key) -> str:
    """Return another card of the same province and sex, of a birth within two years."""
    number = compact(text).upper()
    draws = key.draws("IDENTITY_CARD", number)
    is_old = len(number) == 15
    born = _born(number[6:12] if is_old else number[6:14], draws)
    areas = _areas(number[:2], int(born[:4]))
    area = draws.choice(areas) if areas else number[:6]
    sequence = f"{draws.below(500) * 2 + int(number[14 if is_old else 16]) % 2:03}"
    if is_old:
        return rewritten(text, f"{area}{born[2:]}{sequence}")
    return rewritten(text, _with_check(f"{area}{born}{sequence}", compact(text)[-1].islower()))


def _with_check(number: str, is_lower: bool) -> str:
    from stdnum.cn import ric

    check = str(ric.calc_check_digit(f"{number}0"))
    return number + (check.lower() if is_lower else check)


def _born(day: str, draws: Draws) -> str:
    full = day if len(day) == 8 else f"19{day}"
    born = date(int(full[:4]), int(full[4:6]), int(full[6:]))
    shift = 1 + draws.below(700)
    return f"{born + timedelta(days=shift if draws.below(2) else -shift):%Y%m%d}"


def _areas(province: str, year: int) -> tuple[str, ...]:
    """Return the counties that a province had in a year, by their six digits; if none, all."""
    counties = _counties(province)
    then = tuple(code for code, first, last in counties if first <= year <= last)
    return then or tuple(code for code, _, _ in counties)


@cache
def _counties(province: str) -> tuple[tuple[str, int, int], ...]:
    """Return the counties of a province: six digits, and the years in which there was one."""
    from stdnum import numdb

    places = numdb.get("cn/loc")
    found = []
    for rest in range(100, 10_000):
        parts = places.info(f"{province}{rest:04}")
        named = [facts["county"] for _, facts in parts if "county" in facts]
        if named and rest % 100:
            found.append((f"{province}{rest:04}", *_years(named[0].split(",")[0])))
    return tuple(found)


def _years(county: str) -> tuple[int, int]:
    """Return the first and the last year of a county, as in `[1983-1993]`."""
    match = _COUNTY_YEARS.match(county)
    if match is None:
        return 0, 9999
    return int(match["first"] or 0), int(match["last"] or 9999)


def bank_card(text: str, key: Key) -> str:
    """Return another card of the same issuer."""
    from stdnum import luhn

    number = compact(text)
    draws = key.draws("BANK_CARD", number)
    body = number[:6] + redrawn(number[6:-1], draws)
    return rewritten(text, body + str(luhn.calc_check_digit(body)))


def company_code(text: str, key: Key) -> str:
    """Return the code of another company of the same type and province."""
    from stdnum.cn import uscc

    number = compact(text).upper()
    draws = key.draws("COMPANY_CODE", number)
    areas = _areas(number[2:4], _RECENTLY)
    area = draws.choice(areas) if areas else number[2:8]
    organisation = redrawn("0" * 8, draws)
    total = sum(
        int(digit) * weight for digit, weight in zip(organisation, _CODE_WEIGHTS, strict=True)
    )
    check = "0123456789X0"[(11 - total % 11) % 11]
    body = f"{number[:2]}{area}{organisation}{check}"
    made = body + uscc.calc_check_digit(body)
    return rewritten(text, made.lower() if compact(text).islower() else made)


def passport(text: str, key: Key) -> str:
    """Return a number with the same letters."""
    number = compact(text).upper()
    return rewritten(text, redrawn(compact(text), key.draws("PASSPORT", number), only=DIGITS))


def plate(text: str, key: Key) -> str:
    """Return another plate of the same city."""
    letters = compact(text).upper()
    draws = key.draws("LICENCE_PLATE", letters)
    first = "" if text[0].isascii() else letters[:1]
    rest = "".join(
        draws.choice(DIGITS if char in DIGITS else _PLATE_LETTERS) for char in letters[len(first) :]
    )
    made = first + rest
    return rewritten(text, made.lower() if not set(compact(text)) & set(UPPER) else made)


def address(text: str, key: Key) -> str:
    """Return another address of the internet that is somebody's, of the same version."""
    draws = key.draws("IP_ADDRESS", "".join(compact_address(text)))
    if ":" in text:
        head, _, rest = text.partition(":")
        drawn = "".join(
            draws.choice("0123456789abcdef") if char.isalnum() else char for char in rest
        )
        return f"{head}:{drawn}"

    for _ in range(_TRIES):
        made = ".".join(str(1 + draws.below(254)) for _ in range(4))
        if ip_address(made).is_global:
            break
    return made


def compact_address(text: str) -> str:
    """Return an address without spaces, in lower case."""
    return "".join(text.split()).lower()

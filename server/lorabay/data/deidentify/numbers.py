"""Surrogates of numbers: as long, written alike, and with a check digit that is right.

What tells no person stays: the issuer of a card, the type and the province of a company, the
letters of a passport, the city of a plate.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from lorabay.data.deidentify.counties import areas
from lorabay.data.deidentify.writing import (
    DIGITS,
    UPPER,
    compact,
    redrawn,
    rewritten,
)

if TYPE_CHECKING:
    from lorabay.data.deidentify.keys import Draws, Key

_TRIES = 64
_RECENTLY = 2015
"""A year whose counties companies are of."""

_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_CHECKS = "0123456789X"
_HEXADECIMAL = "0123456789abcdef"
_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def bank_card(text: str, key: Key) -> str:
    """Return another card of the same issuer."""
    from stdnum import luhn

    number = compact(text)
    draws = key.draws("BANK_CARD", number)

    issuer, account = number[:6], number[6:-1]
    body = issuer + redrawn(account, draws)
    return rewritten(text, body + str(luhn.calc_check_digit(body)))


def company_code(text: str, key: Key) -> str:
    """Return the code of another company of the same type and province."""
    from stdnum.cn import uscc

    written = compact(text)
    number = written.upper()
    draws = key.draws("COMPANY_CODE", number)

    places = areas(number[2:4], _RECENTLY)
    place = draws.choice(places) if places else number[2:8]
    organisation = _organisation(draws)

    body = f"{number[:2]}{place}{organisation}"
    made = body + uscc.calc_check_digit(body)
    return rewritten(text, made.lower() if written.islower() else made)


def _organisation(draws: Draws) -> str:
    """Return the code of an organisation: eight digits and their check digit (GB 11714)."""
    digits = redrawn("0" * len(_ORGANISATION_WEIGHTS), draws)

    pairs = zip(digits, _ORGANISATION_WEIGHTS, strict=True)
    total = sum(int(digit) * weight for digit, weight in pairs)
    return digits + _ORGANISATION_CHECKS[-total % len(_ORGANISATION_CHECKS)]


def passport(text: str, key: Key) -> str:
    """Return a number with the same letters."""
    number = compact(text)
    draws = key.draws("PASSPORT", number.upper())
    return rewritten(text, redrawn(number, draws, only=DIGITS))


def plate(text: str, key: Key) -> str:
    """Return another plate of the same city."""
    written = compact(text)
    letters = written.upper()
    draws = key.draws("LICENCE_PLATE", letters)

    # A Chinese plate begins with its province, and its first letter is the city.
    is_chinese = not text[0].isascii()
    city = letters[:1] if is_chinese else ""

    made = city
    for char in letters[len(city) :]:
        made += draws.choice(DIGITS if char in DIGITS else _PLATE_LETTERS)

    has_capitals = bool(set(written) & set(UPPER))
    return rewritten(text, made if has_capitals else made.lower())


def address(text: str, key: Key) -> str:
    """Return another address of the internet that is somebody's, of the same version."""
    draws = key.draws("IP_ADDRESS", "".join(text.split()).lower())
    return _sixth(text, draws) if ":" in text else _fourth(draws)


def _sixth(text: str, draws: Draws) -> str:
    """Return an address of version 6 that begins as one does."""
    head, _, rest = text.partition(":")
    drawn = [draws.choice(_HEXADECIMAL) if char.isalnum() else char for char in rest]
    return f"{head}:{''.join(drawn)}"


def _fourth(draws: Draws) -> str:
    """Return an address of version 4 that is anywhere in the world."""
    for _ in range(_TRIES):
        made = ".".join(str(1 + draws.below(254)) for _ in range(4))
        if ip_address(made).is_global:
            break
    return made

"""Surrogates of numbers."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

pytest.importorskip("phonenumbers")
pytest.importorskip("stdnum")

import phonenumbers
from stdnum import luhn
from stdnum.cn import ric, uscc

from lorabay.data.deidentify import numbers
from lorabay.data.deidentify.keys import Key

KEY = Key(b"0123456789abcdef")


def test_a_phone_is_the_same_however_it_is_written() -> None:
    """It keeps its network and its form."""
    forms = [
        "13812345678",
        "+86 138-1234-5678",
        "１３８１２３４５６７８",
        "008613812345678",
        "一三八一二三四五六七八",
    ]
    made = [numbers.phone(form, KEY) for form in forms]
    assert made[0].startswith("138")
    assert made[0] != forms[0]
    assert made[1] == f"+86 138-{made[0][3:7]}-{made[0][7:]}"
    assert made[2] == made[0].translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    assert made[3] == f"0086{made[0]}"
    assert made[4].startswith("一三八")


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("(650) 253-0000", "US"),
        ("+1 650-253-0000", None),
        ("07911 123456", "GB"),
        ("+44 20 7946 0958", None),
        ("010-62785544", "CN"),
        ("+49 30 123456", None),
    ],
)
def test_a_phone_stays_one_of_its_country(text: str, region: str | None) -> None:
    """As phonenumbers says."""
    made = numbers.phone(text, KEY)
    assert made != text
    assert len(made) == len(text)
    assert phonenumbers.is_valid_number(phonenumbers.parse(made, region))


@pytest.mark.parametrize(
    "text", ["11010519491231002X", "440524 19881204 0017", "310105199912310038"]
)
def test_a_card_of_identity_has_a_place_a_birth_and_a_check_digit(text: str) -> None:
    """Of the same province and sex."""
    made = numbers.identity_card(text, KEY)
    number = made.replace(" ", "")
    assert ric.is_valid(number)
    assert number[:2] == text[:2]
    assert int(number[16]) % 2 == int(text.replace(" ", "")[16]) % 2
    assert (len(made), made.count(" ")) == (len(text), text.count(" "))


def test_a_card_of_the_first_generation_keeps_its_length() -> None:
    """Fifteen digits."""
    made = numbers.identity_card("130503670401001", KEY)
    assert made.isdigit()
    assert len(made) == 15


def test_a_bank_card_keeps_its_issuer() -> None:
    """And its check digit is right."""
    made = numbers.bank_card("6222 0212 3456 7890 128", KEY)
    assert made.startswith("6222 02")
    assert luhn.is_valid(made.replace(" ", ""))


def test_a_company_code_is_one() -> None:
    """Of the same type and province."""
    made = numbers.company_code("91110000600037341L", KEY)
    assert uscc.is_valid(made)
    assert made.startswith("9111")


def test_plates_and_passports_keep_their_letters_places() -> None:
    """And the province of a plate."""
    plate = numbers.plate("粤B·D12345", KEY)
    assert plate.startswith("粤B·")
    assert (plate[3].isupper(), plate[4:].isdigit()) == (True, True)
    assert numbers.plate("7ABC123", KEY)[1:4].isupper()
    assert numbers.passport("E12345678", KEY)[0] == "E"


@pytest.mark.parametrize("text", ["121.69.44.18", "2607:f8b0:4005:805::200e"])
def test_an_address_is_somebodys(text: str) -> None:
    """Of the same version."""
    made = ip_address(numbers.address(text, KEY))
    assert made.is_global
    assert made.version == ip_address(text).version

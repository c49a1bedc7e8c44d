"""Surrogates of numbers."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from stdnum import luhn
from stdnum.cn import uscc

from lorabay.data.deidentify import numbers
from lorabay.data.deidentify.keys import Key

KEY = Key(b"0123456789abcdef")


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

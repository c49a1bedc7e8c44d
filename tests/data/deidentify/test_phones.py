"""Surrogates of phone numbers."""

from __future__ import annotations

import phonenumbers
import pytest

from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.phones import phone

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
    made = [phone(form, KEY) for form in forms]
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
    made = phone(text, KEY)
    assert made != text
    assert len(made) == len(text)
    assert phonenumbers.is_valid_number(phonenumbers.parse(made, region))

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
        "86 13812345678",
        "一三八一二三四五六七八",
    ]
    made = [phone(form, KEY) for form in forms]
    assert made[0].startswith("138")
    assert made[0] != forms[0]
    assert made[1] == f"+86 138-{made[0][3:7]}-{made[0][7:]}"
    assert made[2] == made[0].translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    assert made[3] == f"0086{made[0]}"
    assert made[4] == f"86 {made[0]}"
    assert made[5].startswith("一三八")


@pytest.mark.parametrize(
    ("bare", "country", "national"),
    [
        ("19869073662", "+86", "19869073662"),
        ("02079460958", "+44", "2079460958"),
        ("6502530000", "+1", "6502530000"),
        ("12125550123", "+1", "2125550123"),
        ("010-62785544", "0086", "1062785544"),
    ],
)
def test_its_country_may_be_named_or_not(bare: str, country: str, national: str) -> None:
    """A number that could be one of several countries, too."""
    digits = "".join(filter(str.isdigit, phone(bare, KEY)))
    made = phone(f"{country} {national}", KEY)
    assert made.startswith(country)
    assert digits.endswith(made.removeprefix(country).strip())


@pytest.mark.parametrize("seed", range(20))
def test_a_chinese_mobile_is_one_whatever_else_it_could_be(seed: int) -> None:
    """Its eleven digits are a number of America's, too, for one in six."""
    number = f"198690{73662 + seed * 977}"
    assert phone(f"+86 {number}", KEY) == f"+86 {phone(number, KEY)}"


def test_digits_of_all_scripts_are_drawn_anew() -> None:
    """And stay in theirs."""
    text = "९८७६५४३२१०"
    made = phone(text, KEY)
    assert made != text
    assert all("०" <= char <= "९" for char in made)


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

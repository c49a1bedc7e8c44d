"""Surrogates of identity cards."""

from __future__ import annotations

import pytest
from stdnum.cn import ric

from lorabay.data.deidentify.identity_cards import identity_card
from lorabay.data.deidentify.keys import Key

KEY = Key(b"0123456789abcdef")


@pytest.mark.parametrize(
    "text", ["11010519491231002X", "440524 19881204 0017", "310105199912310038"]
)
def test_a_card_of_identity_has_a_place_a_birth_and_a_check_digit(text: str) -> None:
    """Of the same province and sex."""
    made = identity_card(text, KEY)
    number = made.replace(" ", "")
    assert ric.is_valid(number)
    assert number[:2] == text[:2]
    assert int(number[16]) % 2 == int(text.replace(" ", "")[16]) % 2
    assert (len(made), made.count(" ")) == (len(text), text.count(" "))


def test_a_card_of_the_first_generation_keeps_its_length() -> None:
    """Fifteen digits."""
    made = identity_card("130503670401001", KEY)
    assert made.isdigit()
    assert len(made) == 15

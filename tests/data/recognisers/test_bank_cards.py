"""Bank cards."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import bank_cards
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("卡号6222021234567890128扣了两次", ["6222021234567890128"]),
        ("4111 1111 1111 1111", ["4111 1111 1111 1111"]),
        ("3782 822463 10005 was declined", ["3782 822463 10005"]),
        ("4111111111111111", []),
        ("my card 4111111111111111", ["4111111111111111"]),
        ("my card 4111111111111112", []),
        ("6222021234567890128", ["6222021234567890128"]),
        ("卡4111 1111 1111 1111 2345", ["4111 1111 1111 1111"]),
    ],
)
def test_a_card_needs_its_check_digit_and_its_form_or_a_word(text: str, pieces: list[str]) -> None:
    """One number of ten has the digit by chance."""
    assert found(bank_cards.find, text) == pieces

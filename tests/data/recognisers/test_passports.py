"""Passports."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import passports
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("护照号E12345678，明年到期", ["E12345678"]),
        ("Passport no. 533380006, Dublin", ["533380006"]),
        ("型号E12345678有货吗", []),
        ("港澳通行证C1234567", ["C1234567"]),
    ],
)
def test_a_passport_is_found_where_it_is_called_one(text: str, pieces: list[str]) -> None:
    """Not a model that looks like it."""
    assert found(passports.find, text) == pieces

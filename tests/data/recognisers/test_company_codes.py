"""Codes of companies."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import company_codes
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("税号91110000600037341L，专票", ["91110000600037341L"]),
        ("税号９１１１００００６０００３７３４１Ｌ", ["９１１１００００６０００３７３４１Ｌ"]),
        ("税号91110000600037342L", []),
    ],
)
def test_a_code_is_found_by_its_check_character(text: str, pieces: list[str]) -> None:
    """Also in full width."""
    assert found(company_codes.find, text) == pieces

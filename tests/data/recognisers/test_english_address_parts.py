"""The parts of an address in Latin letters."""

from __future__ import annotations

import re

import pytest

from lorabay.data.recognisers.english_address_parts import CODE, FLAT, NUMBER, STATES


@pytest.mark.parametrize(
    "text", ["Flat 12", "Apt. 4B", "Unit 7", "#05-01", "12/F", "15th Floor", "Lot 9", "Blk 355"]
)
def test_a_flat_is_one(text: str) -> None:
    """Also a floor, a block, a lot."""
    assert re.fullmatch(FLAT, text)


@pytest.mark.parametrize("text", ["94107", "22312-1908", "NW1 6XE", "K1A 0B1", "D02 X285"])
def test_a_code_is_one(text: str) -> None:
    """Of several countries."""
    assert re.fullmatch(CODE, text)


@pytest.mark.parametrize("text", ["12", "12b", "71-75", "15/88", "No. 88", "17 bis"])
def test_a_number_is_one(text: str) -> None:
    """However it is written."""
    assert re.fullmatch(NUMBER, text)


def test_a_word_that_begins_like_a_flat_is_none() -> None:
    """Suites of tools, floors that are not counted."""
    assert not re.fullmatch(FLAT, "Suite of")
    assert "TX" in STATES.split()

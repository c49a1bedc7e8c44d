"""The parts of a Chinese address."""

from __future__ import annotations

import re

import pytest

from lorabay.data.recognisers.chinese_address_parts import BUILDING, ESTATE, NUMBER, STREET


@pytest.mark.parametrize("text", ["中山路", "三元里大道", "柳荫胡同", "李寨村"])
def test_the_name_of_a_street_ends_in_its_kind(text: str) -> None:
    """The longest that there is."""
    assert re.search(rf"(?:{STREET})$", text)


@pytest.mark.parametrize("text", ["3号楼", "12栋", "甲2号院", "十二层", "B座"])
def test_a_building_is_a_number_and_its_kind(text: str) -> None:
    """In digits, numerals or letters."""
    assert re.fullmatch(rf"{NUMBER}(?:{BUILDING})", text)


def test_estates_end_in_their_kind() -> None:
    """A word without one is none."""
    assert re.search(rf"(?:{ESTATE})$", "明珠花园")
    assert not re.search(rf"(?:{ESTATE})$", "白酒")

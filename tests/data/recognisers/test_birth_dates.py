"""Dates of birth."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import birth_dates
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("出生日期1987年3月21日写错了", ["1987年3月21日"]),
        ("我生于一九八七年三月二十一日", ["一九八七年三月二十一日"]),
        ("DOB 03/21/1987", ["03/21/1987"]),
        ("I was born on 12 May 1990, ok", ["12 May 1990"]),
        ("活动到2026年11月11日结束", []),
        ("delivered on 12 May 2026", []),
    ],
)
def test_a_date_is_found_where_it_is_called_one_of_birth(text: str, pieces: list[str]) -> None:
    """Other dates stay."""
    assert found(birth_dates.find, text) == pieces

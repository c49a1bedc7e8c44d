"""Surrogates of dates of birth."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from lorabay.data.deidentify.dates import birth_date
from lorabay.data.deidentify.keys import Key


@pytest.mark.parametrize("secret", [b"0123456789abcdef", b"fedcba9876543210", b"another"])
@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1987-03-21", "%Y-%m-%d"),
        ("19870321", "%Y%m%d"),
        ("03/21/1987", "%m/%d/%Y"),
        ("21.03.1987", "%d.%m.%Y"),
        ("12 May 1990", "%d %B %Y"),
        ("Mar 21, 1987", "%b %d, %Y"),
        ("1987年3月21日", "%Y年%m月%d日"),
        ("87年3月21日", "%y年%m月%d日"),
    ],
)
def test_a_date_stays_one_of_its_form(text: str, form: str, secret: bytes) -> None:
    """Within three years."""
    made = birth_date(text, Key(secret))
    assert made != text
    year = datetime.strptime(made, form).year
    assert 1 <= abs(year - datetime.strptime(text, form).year) <= 3


def test_a_date_in_chinese_numerals_stays_in_them() -> None:
    """With the word for a day at its end."""
    made = birth_date("一九八七年三月二十一日", Key(b"0123456789abcdef"))
    assert re.fullmatch(
        "[一二][〇九][〇一二三四五六七八九]{2}年[一二三四五六七八九十]+月[一二三四五六七八九十]+日",
        made,
    )
    assert made != "一九八七年三月二十一日"

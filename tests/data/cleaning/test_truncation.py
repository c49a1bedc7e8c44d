"""Answers that end in the middle."""

from __future__ import annotations

import pytest

from lorabay.data.cleaning.truncation import is_truncated
from lorabay.data.example import Example

PADDING = "word " * 50


@pytest.mark.parametrize(
    "answer",
    [
        "You can return items within 30 days of",
        "First restart the router, then check the",
        "The return costs 3.95 euros, and",
        "Please check these points:",
        "您可以在三十天内退货，但是",
        "请点击我的订单，然后选择，",
        "Run this:\n```\nping host",
        (PADDING + "x" * 300)[:255],
    ],
)
def test_an_answer_that_stops_is_found(answer: str) -> None:
    """By its last word or sign, by open code, by the size of a column."""
    assert is_truncated(Example("How?", answer)) is not None


@pytest.mark.parametrize(
    "answer",
    [
        "You can return items within 30 days.",
        "- Click OK\n- Choose Reset",
        "Call us: 0800 1234",
        "It costs $5 (with tax)",
        "好的，已经为您登记",
        "Yes",
        "Run this:\n```\nping host\n```",
        "Price:",
        "Kind regards\nThe team",
    ],
)
def test_an_answer_that_ends_is_left(answer: str) -> None:
    """Lists, links and greetings end without a full stop."""
    assert is_truncated(Example("How?", answer)) is None

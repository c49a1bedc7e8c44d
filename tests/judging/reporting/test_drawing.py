"""Intervals as drawn: in order from left to right, and names as text."""

from __future__ import annotations

import re

from lorabay.judging.reporting.drawing import Mark, marks


def test_a_mark_lies_inside_its_interval() -> None:
    """Larger shares are further to the right; a name is never markup."""
    drawn = marks([Mark("<b>", 0.25, 0.1, 0.5), Mark("b", 0.75, 0.5, 0.9)])
    first, second = (float(x) for x in re.findall(r'circle cx="([\d.]+)"', drawn))
    intervals = [
        tuple(map(float, found))
        for found in re.findall(r'class="interval" x1="([\d.]+)" x2="([\d.]+)"', drawn)
    ]
    assert intervals[0][0] < first < intervals[0][1] == intervals[1][0] < second < intervals[1][1]
    assert "&lt;b&gt;" in drawn
    assert "<b>" not in drawn


def test_a_share_of_nothing_has_an_interval_alone() -> None:
    """From 0 to 1: nothing is known."""
    assert "circle" not in marks([Mark("a", None, 0.0, 1.0)])

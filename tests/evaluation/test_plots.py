"""Dots and whiskers."""

from __future__ import annotations

import re

from lorabay.evaluation.bootstrap import Interval
from lorabay.evaluation.plots import whiskers
from lorabay.evaluation.results import Figure


def _places(drawing: str) -> list[tuple[float, float, float]]:
    lines = re.findall(r'x1="([\d.]+)".*?x2="([\d.]+)".*?cx="([\d.]+)"', drawing)
    return [(float(low), float(dot), float(high)) for low, high, dot in lines]


def test_a_dot_lies_on_its_line() -> None:
    """Higher values are further right, and everything is in the picture."""
    drawing = whiskers(
        {"base": Figure(2.0, Interval(1.0, 3.0)), "a<b": Figure(6.0, Interval(5.0, 7.0))}
    )
    (low, dot, high), (other_low, other_dot, other_high) = _places(drawing)
    assert 0 < low < dot < high < other_low < other_dot < other_high < 760
    assert "a&lt;b" in drawing


def test_a_wide_range_is_drawn_by_its_logarithm() -> None:
    """A perplexity of 3 is still seen beside one of 3000."""
    drawing = whiskers(
        {"one": Figure(3.0, Interval(2.0, 4.0)), "two": Figure(3000.0, Interval(2000.0, 4000.0))}
    )
    (low, _, high), _ = _places(drawing)
    assert high - low > 20


def test_figures_that_are_all_the_same_have_a_place() -> None:
    """In the middle, not divided by nothing."""
    assert len(_places(whiskers({"base": Figure(2.0, Interval(2.0, 2.0))}))) == 1

"""Intervals against published figures, and how often they hold the truth."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from lorabay.rollout.intervals import REPORT_Z, Interval, Moments, difference, ratio, wilson


def test_wilson_as_newcombe_printed_it() -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I."""
    assert wilson(81, 263, REPORT_Z) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148, REPORT_Z) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20, REPORT_Z) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_differences_as_newcombe_printed_them() -> None:
    """Newcombe, "Interval estimation for the difference ..." (1998), table II, method 10."""
    assert difference(56, 70, 48, 80, REPORT_Z) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference(9, 10, 3, 10, REPORT_Z) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert difference(10, 10, 0, 10, REPORT_Z) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_nothing_is_known_without_answers() -> None:
    """Every share is possible, and every difference."""
    assert wilson(0, 0, REPORT_Z) == Interval(0.0, 1.0)
    assert difference(0, 0, 0, 0, REPORT_Z) == Interval(-1.0, 1.0)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_difference_is_within_its_interval(a: int, more: int, b: int, other: int) -> None:
    """And the interval between -1 and 1, in its order."""
    count, others = a + more, b + other
    low, high = difference(a, count, b, others, REPORT_Z)
    assert -1 <= low <= high <= 1
    if count and others:
        assert low - 1e-12 <= a / count - b / others <= high + 1e-12


@given(st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=50))
def test_moments_are_those_of_the_whole_list(values: list[float]) -> None:
    """Added one by one as in one sum."""
    moments = Moments()
    for value in values:
        moments.add(value)
    logarithms = [math.log(value) for value in values]
    mean = sum(logarithms) / len(values)
    squares = sum((logarithm - mean) ** 2 for logarithm in logarithms)
    assert moments.mean == pytest.approx(mean, abs=1e-9)
    assert moments.squares == pytest.approx(squares, abs=1e-6)


def test_a_ratio_holds_the_truth_95_times_of_100() -> None:
    """Of two samples of different spread, one with three times the typical value."""
    draw, held = random.Random(7), 0
    for _ in range(1000):
        ours, others = Moments(), Moments()
        for _ in range(40):
            ours.add(3 * math.exp(draw.gauss(0, 0.8)))
        for _ in range(120):
            others.add(math.exp(draw.gauss(0, 0.4)))
        found = ratio(ours, others, REPORT_Z)
        assert found is not None
        held += found.low <= 3 <= found.high
    assert 920 <= held <= 970


def test_one_value_has_no_ratio() -> None:
    """Its spread is not known."""
    one = Moments()
    one.add(2.0)
    assert ratio(one, one, REPORT_Z) is None
    assert one.typical == pytest.approx(2.0)
    assert Moments().typical is None

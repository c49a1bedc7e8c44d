"""Intervals against published figures, and how often they hold the truth."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from lorabay.rollout.intervals import (
    GUARD_Z,
    REPORT_Z,
    Interval,
    Moments,
    Tally,
    difference,
    ratio,
    wilson,
)


def test_wilson_as_newcombe_printed_it() -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I."""
    assert wilson(81, 263, REPORT_Z) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148, REPORT_Z) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20, REPORT_Z) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_differences_as_newcombe_printed_them() -> None:
    """Newcombe, "Interval estimation for the difference ..." (1998), table II, method 10."""
    for ours, others, low, high in (
        (Tally(56, 70), Tally(48, 80), 0.0524, 0.3339),
        (Tally(9, 10), Tally(3, 10), 0.1705, 0.8090),
        (Tally(10, 10), Tally(0, 10), 0.6075, 1.0),
    ):
        found = difference([(ours, others)], REPORT_Z)
        assert found is not None
        assert found.value == ours.hits / ours.total - others.hits / others.total
        assert found.interval == pytest.approx((low, high), abs=5e-5)


def test_nothing_is_known_without_answers() -> None:
    """Every share is possible, and nothing can be compared."""
    assert wilson(0, 0, REPORT_Z) == Interval(0.0, 1.0)
    assert difference([], REPORT_Z) is None
    assert ratio([], REPORT_Z) is None


TALLIES = st.tuples(st.integers(0, 50), st.integers(1, 50)).map(
    lambda pair: Tally(pair[0], sum(pair))
)


@given(st.lists(st.tuples(TALLIES, TALLIES), min_size=1, max_size=6))
def test_a_difference_is_within_its_interval(pairs: list[tuple[Tally, Tally]]) -> None:
    """And the interval between -1 and 1, in its order; it is the mean of those of the strata."""
    found = difference(pairs, REPORT_Z)
    assert found is not None
    low, high = found.interval
    assert -1 - 1e-9 <= low <= found.value <= high <= 1 + 1e-9
    weights = [ours.total * others.total / (ours.total + others.total) for ours, others in pairs]
    changes = [ours.hits / ours.total - others.hits / others.total for ours, others in pairs]
    mean = sum(map(math.prod, zip(weights, changes, strict=True))) / sum(weights)
    assert found.value == pytest.approx(mean, abs=1e-9)


def test_a_difference_of_strata_is_not_that_of_their_sum() -> None:
    """Simpson's paradox: both fail alike, and the sums are 6 of 58 and 6 of 1006."""
    found = difference([(Tally(0, 52), Tally(0, 1000)), (Tally(6, 6), Tally(6, 6))], GUARD_Z)
    assert found is not None
    assert found.value == pytest.approx(0)
    assert found.interval.low < 0 < found.interval.high


def test_one_stratum_in_two_is_one() -> None:
    """Halves that are alike say as much as the whole."""
    whole = difference([(Tally(12, 60), Tally(20, 200))], REPORT_Z)
    halves = difference([(Tally(6, 30), Tally(10, 100))] * 2, REPORT_Z)
    assert whole is not None
    assert halves is not None
    assert halves.interval == pytest.approx(whole.interval)


STRATA = [
    [(0.05, 0.01, 400), (0.5, 0.5, 100)],
    [(0.05, 0.4, 400), (0.25, 0.02, 60), (0.9, 0.9, 60)],
    [(0.05, 0.3, 20)] * 8,
    [(0.1, 0.05, 300), (0.99, 0.8, 100)],
]
"""Of each stratum the canary's share, what fails of both versions, and its answers."""


@pytest.mark.parametrize("strata", STRATA)
def test_a_difference_holds_the_truth_95_times_of_100(
    strata: list[tuple[float, float, int]],
) -> None:
    """Of versions that are alike, whatever both have in common; it may be too wide."""
    draw, held = random.Random(11), 0
    for _ in range(400):
        pairs = []
        for share, fails, count in strata:
            arms = [[0, 0], [0, 0]]
            for _ in range(count):
                arm = arms[draw.random() >= share]
                arm[0] += draw.random() < fails
                arm[1] += 1
            if arms[0][1] and arms[1][1]:
                pairs.append((Tally(*arms[0]), Tally(*arms[1])))
        found = difference(pairs, REPORT_Z)
        held += found is None or found.interval.low <= 0 <= found.interval.high
    assert held >= 370


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
        found = ratio([(ours, others)], REPORT_Z)
        assert found is not None
        held += found.interval.low <= 3 <= found.interval.high
    assert 920 <= held <= 970


def test_a_ratio_of_strata_holds_the_truth_as_often() -> None:
    """Where both versions are three times as slow in the stratum that is half the canary's."""
    draw, held = random.Random(8), 0
    for _ in range(600):
        pairs = []
        for slow, count, others_count in ((1.0, 20, 200), (3.0, 60, 60)):
            ours, others = Moments(), Moments()
            for _ in range(count):
                ours.add(1.2 * slow * math.exp(draw.gauss(0, 0.8)))
            for _ in range(others_count):
                others.add(slow * math.exp(draw.gauss(0, 0.4)))
            pairs.append((ours, others))
        found = ratio(pairs, REPORT_Z)
        assert found is not None
        held += found.interval.low <= 1.2 <= found.interval.high
    assert 550 <= held <= 585


def test_what_is_typical_is_known_of_one_value() -> None:
    """Without any, nothing is."""
    one = Moments()
    one.add(2.0)
    assert one.typical == pytest.approx(2.0)
    assert Moments().typical is None

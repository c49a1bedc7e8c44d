"""Shares and their intervals, against scipy and against figures worked out by hand."""

from __future__ import annotations

import math

import pytest
from scipy import stats as scipy_stats

from lorabay.judging.reporting.shares import Share, share_of, votes_needed


@pytest.mark.parametrize(("part", "total"), [(0, 1), (7, 10), (20, 40), (33, 40), (80, 80)])
def test_an_interval_is_wilsons(part: int, total: int) -> None:
    """The same as scipy's, and as the formula's (Wilson 1927)."""
    share = share_of(part, total)
    expected = scipy_stats.binomtest(part, total).proportion_ci(0.95, method="wilson")
    assert (share.low, share.high) == (expected.low, expected.high)
    assert share.p == scipy_stats.binomtest(part, total, 0.5).pvalue

    z, share_won = 1.959964, part / total
    middle = (share_won + z * z / (2 * total)) / (1 + z * z / total)
    spread = math.sqrt(share_won * (1 - share_won) / total + (z / (2 * total)) ** 2)
    half = z * spread / (1 + z * z / total)
    assert (share.low, share.high) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_a_share_of_nothing_may_be_anything() -> None:
    """And is nothing that anybody should see a difference in."""
    assert share_of(0, 0) == Share(0, 0, 0.0, 1.0, 1.0)
    assert share_of(0, 0).value is None


@pytest.mark.parametrize(("part", "total", "needed"), [(6, 10, 194), (8, 10, 20), (55, 100, 783)])
def test_votes_needed_are_those_of_the_tables(part: int, total: int, needed: int) -> None:
    """A share of 0.6 takes about 194 votes to tell from a half, with a power of 80 %."""
    assert votes_needed(share_of(part, total)) == needed
    assert votes_needed(share_of(part, total), tests=3) > needed


def test_no_number_of_votes_shows_a_half() -> None:
    """Or nothing."""
    assert votes_needed(share_of(5, 10)) is None
    assert votes_needed(share_of(0, 0)) is None

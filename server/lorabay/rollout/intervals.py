"""Intervals of shares, of their differences, and of ratios of means, over strata.

Shares have Wilson's interval ("Probable Inference, the Law of Succession, and Statistical
Inference", 1927): z is the quantile of the normal distribution. Their difference has Newcombe's,
which is made of the two ("Interval Estimation for the Difference Between Independent Proportions",
1998, method 10). Both are right for few answers and for shares of 0 and 1. Times and lengths are
compared by the ratio of their geometric means: their logarithms' means differ by Welch's interval
("The Generalization of Student's Problem", 1947), with the normal quantile instead of Student's.

Two versions are compared stratum by stratum, and the differences are averaged with Cochran's
weights m n / (m + n) ("Some Methods for Strengthening the Common Chi-Square Tests", 1954), as
Mantel and Haenszel do: what befalls both versions of a stratum moves neither. A stratum with
answers of one version only says nothing. Of shares, each version's weighted average has Wilson's
interval, and those two make Newcombe's, as Yan and Su do it ("Stratified Wilson and Newcombe
Confidence Intervals for Multiple Binomial Proportions", 2010). Wilson's number of answers is here
that of one stratum whose share would vary as much as the average does. For versions that are alike,
shares that differ among strata make the interval too wide rather than too narrow: p (1 - p) is
concave. Of means, variances add up with the squares of the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REPORT_Z = 1.959964
"""A confidence of 95 %, two-sided: what a report shows."""

GUARD_Z = 3.290527
"""A confidence of 99.9 %, two-sided: a guard looks again and again, and each look may err."""


class Interval(NamedTuple):
    """Where a figure lies."""

    low: float
    high: float


class Change(NamedTuple):
    """How two versions differ, and where that lies."""

    value: float
    interval: Interval


class Tally(NamedTuple):
    """How many answers of one version in one stratum are of a kind, and how many there are."""

    hits: int
    total: int


@dataclass(slots=True)
class Moments:
    """Count, mean and squared deviations of the logarithms of positive values.

    Updated value by value, as in Welford, "Note on a Method for Calculating Corrected Sums of
    Squares and Products" (1962).
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Take in a value, which is over 0."""
        logarithm = math.log(value)
        self.count += 1
        before = logarithm - self.mean
        self.mean += before / self.count
        self.squares += before * (logarithm - self.mean)

    @property
    def typical(self) -> float | None:
        """The geometric mean of the values; None without any."""
        return math.exp(self.mean) if self.count else None

    @property
    def variance_of_mean(self) -> float:
        """How much the mean of the logarithms may vary, squared. Needs two values."""
        return self.squares / (self.count - 1) / self.count


def wilson(hits: float, count: float, z: float) -> Interval:
    """Return the interval of a share, from 0 to 1; all of that without answers."""
    if not count:
        return Interval(0.0, 1.0)

    share = hits / count
    centre = share + z**2 / (2 * count)
    # Averages of shares may be a little beyond 0 or 1.
    spread = z * math.sqrt(max(0.0, share * (1 - share)) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return Interval(max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def difference(pairs: Sequence[tuple[Tally, Tally]], z: float) -> Change | None:
    """Return how much greater the first share of each pair is than the other, from -1 to 1.

    Each pair is of one stratum, and has answers of both versions. None without any.
    """
    if not pairs:
        return None

    weights = _weights((ours.total, others.total) for ours, others in pairs)
    share, low, high = _average([ours for ours, _ in pairs], weights, z)
    other, other_low, other_high = _average([others for _, others in pairs], weights, z)
    value = share - other
    below = math.hypot(share - low, other_high - other)
    above = math.hypot(high - share, other - other_low)
    return Change(value, Interval(value - below, value + above))


def ratio(pairs: Sequence[tuple[Moments, Moments]], z: float) -> Change | None:
    """Return how many times as great the first geometric mean of each pair is.

    Each pair is of one stratum, and has two values of each version at least. None without any.
    """
    if not pairs:
        return None

    weights = _weights((ours.count, others.count) for ours, others in pairs)
    shift = variance = 0.0
    for weight, (ours, others) in zip(weights, pairs, strict=True):
        shift += weight * (ours.mean - others.mean)
        variance += weight**2 * (ours.variance_of_mean + others.variance_of_mean)
    spread = z * math.sqrt(variance)
    return Change(math.exp(shift), Interval(math.exp(shift - spread), math.exp(shift + spread)))


def _weights(counts: Iterable[tuple[int, int]]) -> list[float]:
    """Return the weight of each stratum, by its answers of both versions; their sum is 1."""
    weights = [count * others / (count + others) for count, others in counts]
    total = sum(weights)
    return [weight / total for weight in weights]


def _average(tallies: list[Tally], weights: list[float], z: float) -> tuple[float, float, float]:
    """Return the weighted average of shares, and the two ends of its interval."""
    weighted = list(zip(tallies, weights, strict=True))
    share = sum(weight * tally.hits / tally.total for tally, weight in weighted)
    count = 1 / sum(weight**2 / tally.total for tally, weight in weighted)
    return share, *wilson(share * count, count, z)

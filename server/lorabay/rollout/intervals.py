"""Intervals of shares, of their differences, and of ratios of means.

Shares have Wilson's interval ("Probable Inference, the Law of Succession, and Statistical
Inference", 1927): z is the quantile of the normal distribution. Their difference has Newcombe's,
which is made of the two ("Interval Estimation for the Difference Between Independent Proportions",
1998, method 10). Both are right for few answers and for shares of 0 and 1. Times and lengths are
compared by the ratio of their geometric means: their logarithms' means differ by Welch's interval
("The Generalization of Student's Problem", 1947), with the normal quantile instead of Student's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

REPORT_Z = 1.959964
"""A confidence of 95 %, two-sided: what a report shows."""

GUARD_Z = 3.290527
"""A confidence of 99.9 %, two-sided: a guard looks again and again, and each look may err."""


class Interval(NamedTuple):
    """Where a figure lies."""

    low: float
    high: float


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


def wilson(hits: int, count: int, z: float) -> Interval:
    """Return the interval of a share, from 0 to 1; all of that without answers."""
    if not count:
        return Interval(0.0, 1.0)

    share = hits / count
    centre = share + z**2 / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return Interval(max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def difference(hits: int, count: int, other_hits: int, other_count: int, z: float) -> Interval:
    """Return the interval of a share less another one, from -1 to 1."""
    low, high = wilson(hits, count, z)
    other_low, other_high = wilson(other_hits, other_count, z)
    if not count or not other_count:
        return Interval(low - other_high, high - other_low)

    share, other = hits / count, other_hits / other_count
    below = math.hypot(share - low, other_high - other)
    above = math.hypot(high - share, other - other_low)
    return Interval(share - other - below, share - other + above)


def ratio(values: Moments, others: Moments, z: float) -> Interval | None:
    """Return the interval of the ratio of two geometric means; None for fewer than two values."""
    if values.count < 2 or others.count < 2:
        return None

    shift = values.mean - others.mean
    spread = z * math.sqrt(values.variance_of_mean + others.variance_of_mean)
    return Interval(math.exp(shift - spread), math.exp(shift + spread))

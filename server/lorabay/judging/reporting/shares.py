"""A share of votes with its interval, and the chance of one so far from a half by luck alone.

Wilson's interval of 95 % and the exact two-sided binomial test, both scipy's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `total`. `low` and `high` are from 0 to 1; `p` is the chance under a half."""

    part: int
    total: int
    low: float
    high: float
    p: float

    @property
    def value(self) -> float | None:
        """The share itself; None of nothing."""
        return self.part / self.total if self.total else None


def share_of(part: int, total: int) -> Share:
    """Return a share; one of nothing may be anything from 0 to 1."""
    if total == 0:
        return Share(0, 0, 0.0, 1.0, 1.0)

    from scipy.stats import binomtest

    test = binomtest(part, total)
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    return Share(part, total, float(interval.low), float(interval.high), float(test.pvalue))


def votes_needed(share: Share, tests: int = 1) -> int | None:
    """Return how many votes show a share like this one, with 80 % power; None for one half.

    n = (z_0.975 / 2 + z_0.8 * sqrt(p (1 - p)))^2 / (p - 1/2)^2, the usual size of a test of one
    proportion against a half. Of several tests, each has its part of the 5 %.
    """
    value = share.value
    if value is None or value == 0.5:
        return None
    normal = NormalDist()
    level = normal.inv_cdf(1 - (1 - CONFIDENCE) / (2 * tests))
    power = normal.inv_cdf(POWER)
    spread = level / 2 + power * math.sqrt(value * (1 - value))
    return math.ceil((spread / (value - 0.5)) ** 2)

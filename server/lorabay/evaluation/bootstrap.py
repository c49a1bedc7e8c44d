"""Intervals of figures, and tests of differences, by drawing the answers again.

Both models of a difference get the same draws: an answer's difficulty cancels out. The paired test
is that of Koehn, "Statistical Significance Tests for Machine Translation Evaluation" (2004), as
sacrebleu computes it. A share has Wilson's interval instead: where all answers pass, every draw
passes, too, and would call it certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorabay.evaluation.measures import Measure

LEVEL = 0.95
"""Share of draws that an interval holds."""
SEED = 12345

_Z = 1.959964
"""The normal distribution has `LEVEL` between -_Z and _Z."""


class Interval(NamedTuple):
    """Where a figure lies with a confidence of 95 %."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much a model's figure is above another's, and how likely chance makes that much of it.

    `p` is two-sided.
    """

    value: float
    interval: Interval
    p: float

    @property
    def is_noise(self) -> bool:
        """True if the test does not tell the two apart at a level of 5 %."""
        return self.p >= 1 - LEVEL


def interval(measure: Measure, draws: int) -> Interval:
    """Return the interval of a figure: percentiles over draws, Wilson's for a share."""
    if measure.is_share:
        return wilson(measure.value / 100, measure.count)
    return _percentiles(_drawn(measure, draws))


def difference(measure: Measure, other: Measure, draws: int) -> Difference:
    """Compare a figure with another model's on the same answers, in the same order.

    Raises ValueError if there are more answers of one than of the other.
    """
    if measure.count != other.count:
        raise ValueError(f"{measure.count} answers cannot be paired with {other.count}")

    observed = measure.value - other.value
    drawn = _drawn(measure, draws) - _drawn(other, draws)
    if observed == 0:
        return Difference(0.0, _percentiles(drawn), 1.0)

    # How often do draws stray from their mean by more than the two models differ?
    strays = np.abs(drawn - drawn.mean()) > abs(observed)
    return Difference(observed, _percentiles(drawn), float(strays.sum() + 1) / (draws + 1))


def wilson(share: float, count: int) -> Interval:
    """Return the interval in percent of a share, 0 to 1, of `count` answers.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927).
    """
    spread = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    centre = share + _Z**2 / (2 * count)
    scale = 100 / (1 + _Z**2 / count)
    return Interval(max(0.0, (centre - spread) * scale), min(100.0, (centre + spread) * scale))


def _drawn(measure: Measure, draws: int) -> NDArray[np.float64]:
    """Return the figure of each draw."""
    return measure.of_sums(_weights(measure.count, draws) @ measure.statistics)


@lru_cache(maxsize=4)
def _weights(count: int, draws: int) -> NDArray[np.float64]:
    """Return how often each answer is in each draw; the same for all models."""
    random = np.random.default_rng(SEED)
    return random.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)


def _percentiles(drawn: NDArray[np.float64]) -> Interval:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(float(low), float(high))

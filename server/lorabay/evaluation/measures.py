"""A measure: a figure of many answers that can be taken again of any sample of them.

It keeps statistics of each answer, such as nats and tokens, and the function of their sums. Its
interval, and the test of a difference, are `bootstrap`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_LARGEST_LOSS = 500.0


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """A figure of some answers.

    `statistics` has a row for each answer. `of_sums` takes sums of rows, one sample a row, and
    returns the figure of each sample. `higher_is_better` is None for a figure that is neither.
    """

    name: str
    statistics: NDArray[np.float64]
    of_sums: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    higher_is_better: bool | None = None
    is_share: bool = False

    @property
    def value(self) -> float:
        """The figure of all answers."""
        return float(self.of_sums(self.statistics.sum(axis=0, keepdims=True))[0])

    @property
    def count(self) -> int:
        """How many answers there are."""
        return len(self.statistics)


def mean_of(name: str, values: Sequence[float], *, higher_is_better: bool | None = None) -> Measure:
    """Return the mean of a value of each answer."""
    return Measure(name, _with_ones(values), _ratio, higher_is_better)


def share_of(name: str, holds: Sequence[bool], *, higher_is_better: bool | None = None) -> Measure:
    """Return the share, 0 to 100, of the answers for which something holds."""
    values = [100.0 * one for one in holds]
    return Measure(name, _with_ones(values), _ratio, higher_is_better, is_share=True)


def loss_of(nats: Sequence[float], tokens: Sequence[int]) -> Measure:
    """Return the loss: nats a token over all answers, of the nats and tokens of each."""
    statistics = np.stack([np.asarray(nats, float), np.asarray(tokens, float)], axis=1)
    return Measure("loss", statistics, _ratio, higher_is_better=False)


def perplexity_of(loss: Measure) -> Measure:
    """Return e to the loss, at most e to the 500: a number that can still be compared."""

    def of_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.exp(np.minimum(_ratio(sums), _LARGEST_LOSS)))

    return Measure("perplexity", loss.statistics, of_sums, higher_is_better=False)


def _with_ones(values: Sequence[float]) -> NDArray[np.float64]:
    return np.stack([np.asarray(values, float), np.ones(len(values))], axis=1)


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(sums[:, 0] / sums[:, 1])

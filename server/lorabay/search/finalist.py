"""A recipe of the final, trained over seeds, and what those trainings measured."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.evaluation.measures import Measure, loss_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.search.space import Choice

AS_IT_IS = "recipe"
"""Name of the recipe without any choice."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training of the final: its loss on dev, and the nats and tokens of each test answer."""

    seed: int
    dev_loss: float
    test_nats: tuple[float, ...]
    test_tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finalist:
    """A recipe over seeds. `trial` is its number, None for the recipe as it is."""

    name: str
    trial: int | None
    choice: Choice
    runs: tuple[Run, ...]

    @property
    def dev_loss(self) -> float:
        """The mean loss on dev over the seeds."""
        return statistics.fmean(run.dev_loss for run in self.runs)

    @property
    def spread(self) -> float:
        """The standard deviation of the loss on dev over the seeds."""
        return statistics.stdev(run.dev_loss for run in self.runs)

    @property
    def test(self) -> Measure:
        """The loss on test, of the mean over the seeds of each answer's nats."""
        by_answer = zip(*(run.test_nats for run in self.runs), strict=True)
        return loss_of([statistics.fmean(nats) for nats in by_answer], self.runs[0].test_tokens)


def least_difference(finalists: Sequence[Finalist]) -> float:
    """Return by how much two mean losses on dev may differ by chance: 95% of equal recipes do by
    less.

    Fisher's least significant difference, of the spread of all finalists together and as many seeds
    of each. R. A. Fisher, "The Design of Experiments" (1935).
    """
    from scipy.stats import t

    seeds = len(finalists[0].runs)
    freedom = len(finalists) * (seeds - 1)
    return float(t.ppf(0.975, freedom)) * seed_spread(finalists) * math.sqrt(2 / seeds)


def seed_spread(finalists: Sequence[Finalist]) -> float:
    """Return the spread of the loss on dev that another seed makes: of all finalists together."""
    return math.sqrt(statistics.fmean(one.spread**2 for one in finalists))

"""The answers of both versions at one share of the clients, and what of them can be compared.

While the share stays, answers of both versions come in one proportion, and whatever happens to the
engine meets both alike. Over several shares that is not so: if the engine is ill while the canary
has half of the clients, the canary has more than its part of the failures. So figures are kept for
each share, and only what is of one share is compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.rollout.figures import Figures
from lorabay.rollout.intervals import Moments, Tally
from lorabay.rollout.steps import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_STRATA = 20
"""Shares whose figures are kept; a rollout that was begun anew so often forgets the first ones."""

CHANCE = 0.001
"""How likely it may be that the live version has had no client by chance."""


@dataclass(slots=True)
class Stratum:
    """The answers while the canary had one share, in percent."""

    percent: float
    live: Figures = field(default_factory=Figures)
    canary: Figures = field(default_factory=Figures)

    @property
    def is_alone(self) -> bool:
        """True if the live version answers nobody, and so is nothing to compare with.

        Below 100 % that is so if all requests are of few clients.
        """
        if self.percent == EVERYTHING:
            return True
        return not self.live.answers and (self.percent / 100) ** self.canary.answers < CHANCE


def tallies(
    strata: Iterable[Stratum], of: Callable[[Figures], tuple[int, int]]
) -> list[tuple[Tally, Tally]]:
    """Return what there is to compare of shares: the canary's and the live version's.

    `of` says how many answers are of a kind, and of how many. Strata of one version are left out.
    """
    pairs = [(Tally(*of(one.canary)), Tally(*of(one.live))) for one in strata]
    return [pair for pair in pairs if pair[0].total and pair[1].total]


def moments(
    strata: Iterable[Stratum], of: Callable[[Figures], Moments]
) -> list[tuple[Moments, Moments]]:
    """Return what there is to compare of times or lengths: the canary's and the live version's.

    Strata without two values of either version are left out: their spread is not known.
    """
    pairs = [(of(one.canary), of(one.live)) for one in strata]
    return [pair for pair in pairs if min(pair[0].count, pair[1].count) >= 2]

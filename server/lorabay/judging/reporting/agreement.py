"""How far judges agree: Krippendorff's alpha over first, second and tie, and the plain share.

Alpha is 1 where all say the same, 0 where they agree as by chance, below 0 where they agree less.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.judging.ballots import Ballot

RELIABLE, TENTATIVE = 0.8, 0.667
"""Krippendorff's own bounds: above the first rely on it, above the second conclude tentatively."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """`alpha` is None where nobody disagrees and all say the same, or no pair has two judges.

    `same` of `compared` are two judges' votes on one pair that are equal.
    """

    alpha: float | None
    same: int
    compared: int

    @property
    def meaning(self) -> str:
        """What alpha allows to conclude."""
        if self.compared == 0:
            return "no pair was judged by two"
        if self.alpha is None:
            return "all votes are the same"
        if self.alpha >= RELIABLE:
            return "judges agree well"
        if self.alpha >= TENTATIVE:
            return "judges agree enough for tentative conclusions"
        if self.alpha > 0.2:
            return "judges agree little"
        return "judges hardly agree: look at the questions, or at what better means"


def agreement(ballots: Sequence[Ballot]) -> Agreement:
    """Return the agreement of all judges on all pairs."""
    by_pair: dict[str, dict[str, int]] = defaultdict(dict)
    for ballot in ballots:
        by_pair[ballot.pair][ballot.judge] = _value(ballot)

    same = compared = 0
    for votes in by_pair.values():
        for one, other in combinations(votes.values(), 2):
            same += one == other
            compared += 1
    return Agreement(_alpha(by_pair) if compared else None, same, compared)


def _alpha(by_pair: dict[str, dict[str, int]]) -> float | None:
    judges = sorted({judge for votes in by_pair.values() for judge in votes})
    table = np.full((len(judges), len(by_pair)), np.nan)
    for column, votes in enumerate(by_pair.values()):
        for judge, value in votes.items():
            table[judges.index(judge), column] = value

    # Only pairs of two judges count; where those are all alike, alpha divides by nothing.
    shared = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    if len(np.unique(shared[~np.isnan(shared)])) < 2:
        return None

    import krippendorff

    return float(krippendorff.alpha(reliability_data=shared, level_of_measurement="nominal"))


def _value(ballot: Ballot) -> int:
    if ballot.winner is None:
        return 0
    return 1 if ballot.winner == ballot.first else 2

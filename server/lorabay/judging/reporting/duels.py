"""Every two sets against each other: wins and ties, by votes and by questions.

Votes of several judges on one pair are not independent, so what is told apart from noise is the
majority on each pair. Over several duels p-values are corrected by Holm's method.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from lorabay.judging.reporting.shares import Share, share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.judging.ballots import Ballot

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Duel:
    """`first` against `second`. Shares are wins of `first` among what was decided.

    `votes` counts votes, `majorities` pairs by the majority of their judges; `p` is that of the
    majorities, corrected.
    """

    first: str
    second: str
    ties: int
    tied_pairs: int
    votes: Share
    majorities: Share
    p: float

    @property
    def winner(self) -> str | None:
        """The better one; None while the difference may be noise."""
        value = self.majorities.value
        if value is None or self.p >= ALPHA:
            return None
        return self.first if value > 0.5 else self.second


def duels(names: Sequence[str], ballots: Sequence[Ballot]) -> tuple[Duel, ...]:
    """Return a duel for every two sets that were compared."""
    by_sets: dict[tuple[str, str], list[Ballot]] = defaultdict(list)
    for ballot in ballots:
        by_sets[ballot.first, ballot.second].append(ballot)

    compared = [both for both in combinations(sorted(names), 2) if both in by_sets]
    counts = [_count(by_sets[both], both[0]) for both in compared]
    corrected = holm([majorities.p for _, majorities, _, _ in counts])
    return tuple(
        Duel(first, second, ties, tied_pairs, votes, majorities, p)
        for (first, second), (votes, majorities, ties, tied_pairs), p in zip(
            compared, counts, corrected, strict=True
        )
    )


def holm(chances: Sequence[float]) -> list[float]:
    """Return p-values that may be looked at together, in the same order (Holm 1979)."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    corrected = [0.0] * len(chances)
    most = 0.0
    for rank, index in enumerate(order):
        most = max(most, min(1.0, (len(chances) - rank) * chances[index]))
        corrected[index] = most
    return corrected


def _count(ballots: Sequence[Ballot], first: str) -> tuple[Share, Share, int, int]:
    """Return shares of votes and of majorities, and how many of each are ties."""
    votes = Counter(_sign(ballot, first) for ballot in ballots)

    sums: Counter[str] = Counter()
    for ballot in ballots:
        sums[ballot.pair] += _sign(ballot, first)
    majorities = Counter((total > 0) - (total < 0) for total in sums.values())

    return _share(votes), _share(majorities), votes[0], majorities[0]


def _share(counts: Counter[int]) -> Share:
    return share_of(counts[1], counts[1] + counts[-1])


def _sign(ballot: Ballot, first: str) -> int:
    if ballot.winner is None:
        return 0
    return 1 if ballot.winner == first else -1

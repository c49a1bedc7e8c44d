"""Bradley-Terry strengths of all sets at once, and how often each would be preferred.

P(i beats j) = s_i / (s_i + s_j), fitted by evalica; ties are half a win for each side. A drawn vote
is added between every two sets: without it, one that never lost would be infinitely strong.
Intervals are bootstrapped over questions, because votes on one question hang together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lorabay.judging.ballots import Ballot

RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
ITERATIONS = 1000


@dataclass(frozen=True, slots=True)
class Strength:
    """A set's `preference`, its wins against the mean of the others from 0 to 1, with an interval,
    and its strength in log-odds, whose mean over all sets is 0.
    """

    name: str
    preference: float
    low: float
    high: float
    log_odds: float


def strengths(
    names: Sequence[str], ballots: Sequence[Ballot], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Strength, ...]:
    """Return the strengths of all sets, the strongest first; there are ballots."""
    fit = _Fit(names, ballots)
    whole = fit.log_odds(np.ones(len(ballots)))

    asked = dict.fromkeys(ballot.question for ballot in ballots)
    questions = {question: at for at, question in enumerate(asked)}
    of_ballot = np.array([questions[ballot.question] for ballot in ballots])
    chance = np.random.default_rng(seed)
    samples = []
    for _ in range(resamples):
        drawn = chance.integers(0, len(questions), len(questions))
        weights = np.bincount(drawn, minlength=len(questions))[of_ballot]
        samples.append(_preferences(fit.log_odds(weights.astype(float))))

    low, high = np.percentile(np.array(samples), PERCENTILES, axis=0)
    found = [
        Strength(name, float(preference), float(low[at]), float(high[at]), float(whole[at]))
        for at, (name, preference) in enumerate(zip(names, _preferences(whole), strict=True))
    ]
    return tuple(sorted(found, key=lambda one: -one.preference))


def preferences(names: Sequence[str], ballots: Sequence[Ballot]) -> dict[str, float]:
    """Return how often each set would be preferred, without intervals."""
    whole = _Fit(names, ballots).log_odds(np.ones(len(ballots)))
    return dict(zip(names, map(float, _preferences(whole)), strict=True))


class _Fit:
    """The same votes, fitted again and again under other weights."""

    def __init__(self, names: Sequence[str], ballots: Sequence[Ballot]) -> None:
        import pandas as pd
        from evalica import Winner

        drawn = list(combinations(names, 2))
        outcome: Mapping[bool | None, Winner] = {
            None: Winner.Draw,
            True: Winner.X,
            False: Winner.Y,
        }
        self._index = pd.Index(list(names))
        self._first = [*(ballot.first for ballot in ballots), *(first for first, _ in drawn)]
        self._second = [*(ballot.second for ballot in ballots), *(second for _, second in drawn)]
        self._winners = [
            *(outcome[_first_won(ballot)] for ballot in ballots),
            *(Winner.Draw for _ in drawn),
        ]
        self._drawn = np.ones(len(drawn))

    def log_odds(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the strengths in the order of the names, in log-odds around 0."""
        from evalica import bradley_terry

        result = bradley_terry(
            self._first,
            self._second,
            self._winners,
            index=self._index,
            weights=np.concatenate([weights, self._drawn]),
            limit=ITERATIONS,
        )
        logs = np.log(result.scores.reindex(self._index).to_numpy(dtype=float))
        centred: NDArray[np.float64] = logs - logs.mean()
        return centred


def _first_won(ballot: Ballot) -> bool | None:
    return None if ballot.winner is None else ballot.winner == ballot.first


def _preferences(log_odds: NDArray[np.float64]) -> list[float]:
    return [
        float(np.mean([_wins(own - other) for at, other in enumerate(log_odds) if at != place]))
        for place, own in enumerate(log_odds)
    ]


def _wins(difference: float) -> float:
    return 1 / (1 + math.exp(-difference))

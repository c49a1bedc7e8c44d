"""Alternating turns: the sides work one after the other, and only turns of one round are compared.

A machine's speed drifts; a ratio of neighbours in time does not. Pure apart from the injected
clock. Does not know how a side spends its turn.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn(Generic[T]):
    """The value that one side returned in one round, and the seconds that its turn took."""

    side: str
    round: int
    seconds: float
    value: T


@dataclass(frozen=True, slots=True)
class Comparison:
    """One value a round, and the bar for their median: a floor if `at_least`, else a ceiling."""

    name: str
    values: tuple[float, ...]
    unit: Literal["x", "s", "points"]
    bar: float
    at_least: bool = True

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def passed(self) -> bool:
        """True if the median reaches the bar; the bar itself passes."""
        if self.at_least:
            return self.median >= self.bar
        return self.median <= self.bar


def alternate(
    sides: Mapping[str, Callable[[int], T]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Turn[T], ...]:
    """Call every side once a round, in the order of `sides`: A B A B and so on.

    A side is called with the number of the round, from 0.
    """
    turns: list[Turn[T]] = []
    for number in range(rounds):
        for side, take in sides.items():
            started = clock()
            value = take(number)
            turns.append(Turn(side, number, clock() - started, value))
    return tuple(turns)


def figures(turns: Sequence[Turn[T]], figure: Callable[[T], float]) -> tuple[Turn[float], ...]:
    """Return the same turns, each with one figure of its value."""
    return tuple(Turn(turn.side, turn.round, turn.seconds, figure(turn.value)) for turn in turns)


def ratios(turns: Sequence[Turn[float]], side: str, reference: str) -> tuple[float, ...]:
    """Return the value of `side` over that of `reference`, round by round."""
    return tuple(ours / theirs for ours, theirs in _pairs(turns, side, reference))


def differences(turns: Sequence[Turn[float]], side: str, reference: str) -> tuple[float, ...]:
    """Return the value of `side` less that of `reference`, round by round."""
    return tuple(ours - theirs for ours, theirs in _pairs(turns, side, reference))


def median_of(turns: Sequence[Turn[float]], side: str) -> float:
    """Return the median of one side's values over all rounds."""
    return statistics.median(turn.value for turn in turns if turn.side == side)


def _pairs(
    turns: Sequence[Turn[float]], side: str, reference: str
) -> Iterator[tuple[float, float]]:
    by_round = {turn.round: turn.value for turn in turns if turn.side == reference}
    for turn in turns:
        if turn.side == side:
            yield turn.value, by_round[turn.round]

"""The heart of every comparison: the sides take turns in one invocation, and only turns of one
round are compared.

A machine's speed drifts; a ratio of neighbours in time does not. Pure apart from the injected
clock; knows not what a side does in its turn.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn(Generic[T]):
    """What one side gave in one round, and how long its turn took."""

    side: str
    round: int
    seconds: float
    value: T


def alternate(
    sides: Mapping[str, Callable[[int], T]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Turn[T], ...]:
    """A B A B ...: each side, called with the round's number (from 0), once a round, in the order
    of `sides`.
    """
    turns: list[Turn[T]] = []
    for number in range(rounds):
        for side, take in sides.items():
            started = clock()
            value = take(number)
            turns.append(Turn(side, number, clock() - started, value))
    return tuple(turns)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One value a round and the bar that their median must reach (`at_least`) or stay under."""

    name: str
    values: tuple[float, ...]
    unit: Literal["x", "s"]
    bar: float
    at_least: bool = True

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def passed(self) -> bool:
        return self.median >= self.bar if self.at_least else self.median <= self.bar


def ratios(turns: Sequence[Turn[float]], side: str, reference: str) -> tuple[float, ...]:
    """`side` over `reference`, round by round."""
    return tuple(ours / theirs for ours, theirs in _pairs(turns, side, reference))


def differences(turns: Sequence[Turn[float]], side: str, reference: str) -> tuple[float, ...]:
    """`side` less `reference`, round by round."""
    return tuple(ours - theirs for ours, theirs in _pairs(turns, side, reference))


def _pairs(turns: Sequence[Turn[float]], side: str, reference: str) -> list[tuple[float, float]]:
    of_reference = {turn.round: turn.value for turn in turns if turn.side == reference}
    return [(turn.value, of_reference[turn.round]) for turn in turns if turn.side == side]

"""Tenants that keep pace with one another, where the engine could run all their requests at once.

In an engine with a place for everybody each sequence gets its token in every step, so whoever has
more of them gets more, whatever its weight. From some number of sequences on, which is the room,
one more gets most of its tokens from the others. Then a tenant is

    free     asks for less than its part of the room: gets it at once, and holds nobody back
    paced    asks for its part or more: its next request waits while it has used more for its weight
             than another paced one

Parts go by weights; what a free tenant leaves is divided among the others. A tenant that is paced
alone is held back by nobody. What one asks for is what it has asked for lately, as a client needs a
moment between an answer and its next request.

Pure: times are told. Knows nothing of counters, nor of who may go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

LATELY_S = 0.5
"""How long it counts what a tenant has asked for, in seconds; up to twice as long in the end."""


@dataclass(slots=True)
class Lately:
    """The most that a number has been lately."""

    value: int = 0
    _since: float = -math.inf
    _most: int = 0
    """Since then."""
    _before: int = 0
    """In the time before."""

    def note(self, value: int, now: float) -> None:
        """Note what the number is from now on."""
        self._go_on(now)
        self.value = value
        self._most = max(self._most, value)

    def most(self, now: float) -> int:
        """Return the most that it has been."""
        self._go_on(now)
        return max(self._before, self._most)

    def _go_on(self, now: float) -> None:
        """Begin a new time if this one has lasted long enough."""
        passed = now - self._since
        if passed < LATELY_S:
            return
        self._before = self._most if passed < 2 * LATELY_S else self.value
        self._most = self.value
        self._since = now


class Asks(NamedTuple):
    """How many requests a tenant has, waiting or running, and its weight."""

    requests: int
    weight: float


class Pace:
    """The tenants of one priority, and which of them are paced."""

    def __init__(self) -> None:
        self._lately: dict[str, Lately] = {}
        self._weights: dict[str, float] = {}
        self.paced: frozenset[str] = frozenset()

    def look(self, asks: Mapping[str, Asks], room: float, now: float) -> frozenset[str]:
        """Decide who is paced in a `room` of so many requests; return who was not before."""
        former = self.paced
        lately = self._asked_lately(asks, now)
        level = level_of(lately, room)
        self.paced = frozenset(
            name for name, one in lately.items() if one.requests >= level * one.weight
        )
        return self.paced - former

    def weight_of(self, tenant: str) -> float:
        """Return the weight of a tenant that is paced."""
        return self._weights[tenant]

    def _asked_lately(self, asks: Mapping[str, Asks], now: float) -> dict[str, Asks]:
        """Return the most that each tenant has asked for lately; forget those without anything."""
        for name, one in asks.items():
            self._lately.setdefault(name, Lately()).note(one.requests, now)
            self._weights[name] = one.weight
        for name in self._lately.keys() - asks.keys():
            self._lately[name].note(0, now)
            if not self._lately[name].most(now):
                del self._lately[name], self._weights[name]

        return {
            name: Asks(lately.most(now), self._weights[name])
            for name, lately in self._lately.items()
        }


def level_of(asks: Mapping[str, Asks], room: float) -> float:
    """Return how many places of a room a tenant of weight 1 gets, if nobody gets more than it asks
    for; infinity if there is room for all.
    """
    weights = sum(one.weight for one in asks.values())
    for one in sorted(asks.values(), key=lambda one: one.requests / one.weight):
        if one.requests * weights >= room * one.weight:
            return room / weights
        room -= one.requests
        weights -= one.weight
    return math.inf

"""The places of weights in one engine, and which of them is emptied to make room.

Every place is in one stage; `residency` says how weights go through them. Keeps places in order,
and starts nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TYPE_CHECKING

from lorabay.serving.popularity import Popularity

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet

    from lorabay.catalog.versions import Digest, Version


class Stage(StrEnum):
    """Stages of a place, in the order in which weights go through them."""

    WAITING = auto()
    """Waits for room."""

    PLACED = auto()
    """Has room, and waits until the engine takes one more load."""

    LOADING = auto()
    """The engine loads it."""

    RESIDENT = auto()
    """The engine answers with it."""

    LEAVING = auto()
    """The engine unloads it."""


@dataclass(slots=True)
class Place:
    """State of the weights of `version`, the first one that was asked for.

    `load` runs from WAITING to LOADING, `unload` in LEAVING. A place has both while weights leave
    that were asked for again. `is_swap` lets the load use the room that is kept for swaps.
    `last_used` is the wall-clock time at which the weights were loaded, or asked for again.
    """

    version: Version
    stage: Stage = Stage.WAITING
    load: asyncio.Task[None] | None = None
    unload: asyncio.Task[None] | None = None
    is_swap: bool = False
    last_used: float = 0.0


class Places:
    """All places, in the order in which they came into their stage, or were last used."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._places: dict[Digest, Place] = {}
        self._popularity = Popularity(clock)

    @property
    def by_weights(self) -> Mapping[Digest, Place]:
        """Every place by the weights that have it."""
        return self._places

    def at(self, stage: Stage) -> dict[Digest, Place]:
        """Return the places in one stage, the one that came first in front."""
        return {weights: place for weights, place in self._places.items() if place.stage is stage}

    @property
    def taking_room(self) -> int:
        """The number of places that take up room: those that do not wait for it."""
        return len(self._places) - len(self.at(Stage.WAITING))

    def first_waiting(self) -> Digest:
        """Return the weights that have waited longest; some must be waiting."""
        return next(iter(self.at(Stage.WAITING)))

    def get(self, weights: Digest) -> Place | None:
        """Return the place of some weights; None if they have none."""
        return self._places.get(weights)

    def get_or_add(self, version: Version) -> Place:
        """Return the place of a version's weights, a new one if they have none."""
        return self._places.setdefault(version.weights, Place(version))

    def enter(self, weights: Digest, stage: Stage) -> Place:
        """Put weights into `stage`, behind the others in it; return their place."""
        place = self._places.pop(weights)
        self._places[weights] = place
        place.stage = stage
        return place

    def least_wanted_first(self) -> list[Digest]:
        """Return the resident weights, those in front that are asked for least; of equal ones the
        least recently used.
        """
        return sorted(self.at(Stage.RESIDENT), key=self._popularity.of)

    def use(self, weights: Digest) -> None:
        """Make weights resident, as the last ones used."""
        self._popularity.use(weights)
        self.enter(weights, Stage.RESIDENT).last_used = time.time()

    def remove(self, weights: Digest) -> None:
        """Take a place away."""
        del self._places[weights]


def choose_victim(
    residents: Sequence[Digest],
    capacity: int,
    *,
    in_use: Callable[[Digest], bool],
    pinned: AbstractSet[Digest],
) -> Digest | None:
    """Return the weights that are evicted next; None if all have to stay.

    The first of `residents` goes that may. Weights in use stay. Pinned ones stay too, unless pins
    fill the whole capacity: then nothing else could be served.
    """
    pins = pinned & set(residents)
    if len(pins) >= capacity:
        pins = set()

    for weights in residents:
        if weights not in pins and not in_use(weights):
            return weights
    return None

"""The versions whose weights one engine holds: loaded on demand, evicted to make room.

Every version has at most one place, and every place is in one stage:

    stage      event                               next stage
    -          asked for                           WAITING
    WAITING    it is next, and there is room       PLACED
    WAITING    dropped                             -
    PLACED     the engine takes one more load      LOADING
    LOADING    loaded                              RESIDENT
    LOADING    refused, or failed (for now)        -
    RESIDENT   asked for                           RESIDENT, as the last one used
    RESIDENT   evicted, or dropped                 LEAVING
    LEAVING    asked for                           LEAVING, with a load that waits for the end
    LEAVING    unloaded, well or badly             WAITING if asked for meanwhile, else -
    any        the engine died                     -

PLACED, LOADING, RESIDENT and LEAVING take up room. There is room for `capacity` versions, and for
one more that only a swap may use: a new version always fits beside the one that it replaces.

Serial: the stages, on one event loop. Parallel: loads of different versions, at most
`concurrent_loads` at a time; requests for one version share its load. Knows nothing of names, of
leases, or of why a version is asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TYPE_CHECKING

from lorabay.errors import AdapterRejected, EngineUnavailable

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version
    from lorabay.serving.engine import Engine

RETRY_AFTER_S = 2.0
"""When a client should ask again for a version that is not loaded yet."""


class Stage(StrEnum):
    """Stages of a place, in the order in which a version goes through them."""

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
    """State of one version.

    `load` runs from WAITING to LOADING, `unload` in LEAVING. A place has both while a version
    leaves that was asked for again. `is_swap` lets the load use the room that is kept for swaps.
    `last_used` is the wall-clock time at which the version was loaded, or asked for again.
    """

    stage: Stage = Stage.WAITING
    load: asyncio.Task[None] | None = None
    unload: asyncio.Task[None] | None = None
    is_swap: bool = False
    last_used: float = 0.0


def choose_victim(
    residents: Mapping[Version, Place],
    capacity: int,
    *,
    in_use: Callable[[Version], bool],
    pinned: Callable[[Version], bool],
) -> Version | None:
    """Return the version that is evicted next; None if all have to stay.

    `residents` come in the order of their last use, so the first that may go is the least recently
    used. A version in use stays. A pinned one stays too, unless pins fill the whole capacity: then
    nothing else could be served.
    """
    pins = {version for version in residents if pinned(version)}
    stay = pins if len(pins) < capacity else set()

    for version in residents:
        if version not in stay and not in_use(version):
            return version
    return None


@dataclass(frozen=True, slots=True)
class Hooks:
    """Questions that a residency asks its owner, and events that it reports to it.

    The defaults keep nothing, admit everything and ignore the events.
    """

    in_use: Callable[[Version], bool] = lambda version: False
    """Returns whether a version is in use; then it stays."""

    pinned: Callable[[Version], bool] = lambda version: False
    """Returns whether a version stays as long as pins leave room for others."""

    admit: Callable[[Version], None] = lambda version: None
    """Raises for a version that must not be loaded."""

    loaded: Callable[[Version, float], None] = lambda version, seconds: None
    """Called when a version was loaded, with the seconds that it took."""

    refused: Callable[[Version, AdapterRejected], None] = lambda version, error: None
    """Called when the engine has refused a version."""

    evicted: Callable[[Version], None] = lambda version: None
    """Called when a version has made room for another."""


class Residency:
    """Places of the versions in one engine.

    Call `look_for_room` when one that `hooks` reported as in use or pinned may no longer be.
    """

    def __init__(
        self,
        engine: Engine,
        capacity: int,
        hooks: Hooks,
        *,
        load_timeout_s: float = 30.0,
        concurrent_loads: int = 2,
    ) -> None:
        self._engine = engine
        self._capacity = max(1, capacity)
        self._hooks = hooks
        self._load_timeout_s = load_timeout_s

        self._places: dict[Version, Place] = {}
        """Places in the order in which they came into their stage, or were last used."""
        self._failed_with_engine: set[Version] = set()
        """Versions that were being loaded when the engine died, until `forget_all`."""
        self._has_held: set[Digest] = set()
        """Weights that this engine has held once, so that it takes them."""
        self._turns_at_engine = asyncio.Semaphore(concurrent_loads)
        self._room_changed = asyncio.Event()
        """Set whenever a load that waits may find room, or be next."""

    accepts_swaps = True
    """A new version can be loaded beside the one that it replaces; see `swaps.EngineWeights`."""

    @property
    def capacity(self) -> int:
        """Versions that fit, not counting the room that is kept for swaps."""
        return self._capacity

    @property
    def has_room(self) -> bool:
        """True while a further version fits without an eviction."""
        return len(self._places) < self._capacity

    def resident(self) -> dict[Version, float]:
        """Return the versions in the engine, least recently used first, with the wall-clock time of
        their last use.
        """
        return {version: place.last_used for version, place in self._in(Stage.RESIDENT).items()}

    def loading(self) -> frozenset[Version]:
        """Return the versions that the engine is loading, or was loading when it died; not those
        that still wait for their turn.
        """
        return frozenset(self._in(Stage.LOADING)) | self._failed_with_engine

    def placed(self) -> frozenset[Version]:
        """Return every version with a place, whose files the engine may still read."""
        return frozenset(self._places)

    async def ensure(self, version: Version, *, swap: bool = False) -> None:
        """Return once `version` is in the engine; with `swap` it may use the room kept for swaps.

        Raises EngineUnavailable if that takes longer than the time limit (the load goes on) or
        fails for another reason than the weights, and AdapterRejected if the engine refuses them.
        """
        place = self._places.get(version)
        if place is not None and place.stage is Stage.RESIDENT:
            self._use(version)
            return

        self._engine.check()
        self._hooks.admit(version)
        load = self._ask_for(version, swap)

        # Not awaited itself: a client that hangs up must not end a load that others wait for.
        done, _ = await asyncio.wait({load}, timeout=self._load_timeout_s)
        if not done:
            raise EngineUnavailable(
                f"adapter {version.adapter!r} is still being loaded", retry_after=RETRY_AFTER_S
            )
        if load.cancelled():
            raise EngineUnavailable(
                f"the engine stopped while it loaded {version.id}", retry_after=RETRY_AFTER_S
            )
        load.result()

    async def drop(self, version: Version) -> None:
        """Take a version out of the engine unless it is in use; do nothing if it is not there.

        A load that waits is given up; one that has its place ends first.
        """
        place = self._places.get(version)
        if place is not None and place.load is not None:
            load = place.load
            # In the other stages the engine may be at work on it, which cannot be taken back.
            if place.stage in {Stage.WAITING, Stage.LEAVING}:
                load.cancel()
            await asyncio.wait({load})

        if version in self._in(Stage.RESIDENT) and not self._hooks.in_use(version):
            await self._unload(version)

    def look_for_room(self) -> None:
        """Make loads that wait for room look again: a version is no longer pinned or in use."""
        self._room_changed.set()

    def forget_all(self) -> None:
        """Empty every place, because the engine died.

        Whoever waits for a load gets EngineUnavailable.
        """
        for version, place in tuple(self._places.items()):
            for task in (place.load, place.unload):
                if task is not None:
                    task.cancel()  # its place goes when it has ended
            if place.stage is Stage.RESIDENT:
                del self._places[version]

        self._failed_with_engine.clear()
        self._has_held.clear()
        self._room_changed.set()

    async def stop(self) -> None:
        """Cancel the loads and unloads that still run, and wait until they have ended."""
        places = self._places.values()
        tasks = [task for place in places for task in (place.load, place.unload) if task]
        self.forget_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask_for(self, version: Version, swap: bool) -> asyncio.Task[None]:
        """Return the load of a version that is not resident, begun now unless it was before."""
        place = self._places.setdefault(version, Place())
        if place.load is None:
            place.load = asyncio.create_task(self._load(version, place))
            place.load.add_done_callback(lambda load: self._load_ended(version, place, load))
        if swap:
            place.is_swap = True
            self._room_changed.set()  # it may have waited for its turn until now
        return place.load

    async def _load(self, version: Version, place: Place) -> None:
        """Take a version from WAITING to RESIDENT."""
        if place.unload is not None:
            await asyncio.wait({place.unload})
        await self._take_room(version, place)

        async with self._turns_at_engine:
            self._engine.check()
            self._enter(version, Stage.LOADING)
            started = time.perf_counter()
            try:
                await self._engine.load(version)
            except AdapterRejected as error:
                # Weights that this engine has held cannot be at fault: the load may pass.
                if version.digest in self._has_held:
                    raise _not_now(version) from error
                self._hooks.refused(version, error)
                raise
            except EngineUnavailable:
                # Its death is noticed after this; until then it is known what was being loaded.
                if not self._engine_is_up():
                    self._failed_with_engine.add(version)
                raise

        self._has_held.add(version.digest)
        place.load, place.is_swap = None, False
        self._use(version)
        self._hooks.loaded(version, time.perf_counter() - started)

    def _engine_is_up(self) -> bool:
        try:
            self._engine.check()
        except EngineUnavailable:
            return False
        return True

    async def _take_room(self, version: Version, place: Place) -> None:
        """Wait for room, and evict others where that makes some."""
        while not self._fits(version, place):
            victim = self._victim() if self._is_next(version, place) else None
            if victim is not None:
                await self._unload(victim)
                self._hooks.evicted(victim)
                continue

            # No `await` since the checks above, so no change of the room is missed.
            self._room_changed.clear()
            await self._room_changed.wait()

        self._enter(version, Stage.PLACED)
        self._room_changed.set()  # it is the next one's turn

    def _fits(self, version: Version, place: Place) -> bool:
        limit = self._capacity + 1 if place.is_swap else self._capacity
        taken = len(self._places) - len(self._in(Stage.WAITING))
        return self._is_next(version, place) and taken < limit

    def _is_next(self, version: Version, place: Place) -> bool:
        """Return whether a load may look for room now.

        Swaps go first. Others queue: otherwise one could take the room that another, which still
        waits for its unload, has made.
        """
        return place.is_swap or version == next(iter(self._in(Stage.WAITING)))

    def _victim(self) -> Version | None:
        residents, hooks = self._in(Stage.RESIDENT), self._hooks
        return choose_victim(residents, self._capacity, in_use=hooks.in_use, pinned=hooks.pinned)

    async def _unload(self, version: Version) -> None:
        """Take a resident version out; once begun, that goes on even if the caller is cancelled."""
        place = self._enter(version, Stage.LEAVING)
        unload = place.unload = asyncio.create_task(self._engine.unload(version))
        unload.add_done_callback(lambda unload: self._unload_ended(version, place, unload))

        # `_unload_ended` was added first and runs first: the room is free before anyone looks.
        await asyncio.wait({unload})
        if not unload.cancelled():  # else the engine died, and holds nothing
            unload.result()

    def _load_ended(self, version: Version, place: Place, load: asyncio.Task[None]) -> None:
        """Empty the place of a load that failed or was cancelled; runs before whoever awaits it."""
        self._room_changed.set()
        if not load.cancelled():
            load.exception()  # marks it as seen: a load that nobody waits for may fail
        if place.load is not load:
            return  # the version is resident, or was

        place.load, place.is_swap = None, False
        # A version that leaves keeps its place until the unload has ended.
        if place.stage is not Stage.LEAVING:
            del self._places[version]

    def _unload_ended(self, version: Version, place: Place, unload: asyncio.Task[None]) -> None:
        """Empty the place, or let the load begin that has been asked for meanwhile."""
        self._room_changed.set()
        if not unload.cancelled():
            unload.exception()  # marks it as seen, as above

        place.unload = None
        if place.load is None:
            del self._places[version]
        else:
            self._enter(version, Stage.WAITING)

    def _use(self, version: Version) -> None:
        """Make a version resident, as the last one used."""
        self._enter(version, Stage.RESIDENT).last_used = time.time()

    def _enter(self, version: Version, stage: Stage) -> Place:
        """Put a version into `stage`, behind the others in it."""
        place = self._places[version] = self._places.pop(version)
        place.stage = stage
        return place

    def _in(self, stage: Stage) -> dict[Version, Place]:
        return {version: place for version, place in self._places.items() if place.stage is stage}


def _not_now(version: Version) -> EngineUnavailable:
    return EngineUnavailable(
        f"adapter {version.adapter!r} could not be loaded again", retry_after=RETRY_AFTER_S
    )

"""The weights that one engine holds: loaded on demand, evicted to make room.

All versions with the same weights share one place, and every place is in one stage:

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

PLACED, LOADING, RESIDENT and LEAVING take up room. There is room for `capacity` weights, and for
one more that only a swap may use: new weights always fit beside those that they replace. An engine
of replicas that come and go has other room then: once it has less, the next load evicts down to it
what nobody uses.

Serial: the stages, on one event loop. Parallel: loads of different weights, at most
`concurrent_loads` at a time; requests for the same ones share the load. Knows nothing of names, of
leases, or of why a version is asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import AdapterRejected, EngineUnavailable
from lorabay.serving.places import Places, Stage, choose_victim

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version
    from lorabay.serving.engine import Engine
    from lorabay.serving.places import Place

RETRY_AFTER_S = 2.0
"""When a client should ask again for a version that is not loaded yet."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Questions that a residency asks its owner, and events that it reports to it.

    The defaults keep nothing, admit everything and ignore the events.
    """

    in_use: Callable[[Digest], bool] = lambda weights: False
    """Returns whether weights are in use, by whatever version; then they stay."""

    held: Callable[[Digest], bool] = lambda weights: True
    """Returns whether weights in use are computed with, or will be as soon as they are there. Those
    that are only waited for go when nothing else can: whose turn it is must find room.
    """

    pinned: Callable[[], AbstractSet[Digest]] = frozenset
    """Returns the weights that stay as long as pins leave room for others."""

    admit: Callable[[Version], None] = lambda version: None
    """Raises for a version that must not be loaded."""

    loaded: Callable[[Version, float], None] = lambda version, seconds: None
    """Called when the weights of a version were loaded, with the seconds that it took."""

    refused: Callable[[Version, AdapterRejected], None] = lambda version, error: None
    """Called when the engine has refused a version."""

    evicted: Callable[[Version], None] = lambda version: None
    """Called when the weights of a version have made room for others."""


class Residency:
    """Places of the weights in one engine, as many as it tells, else `capacity`.

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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._configured = capacity
        self._hooks = hooks
        self._load_timeout_s = load_timeout_s

        self._places = Places(clock)
        self._failed_with_engine: set[Version] = set()
        """Versions that were being loaded when the engine died, until `forget_all`."""
        self._has_held: set[Digest] = set()
        """Weights that this engine has held once, so that it takes them."""
        self._turns_at_engine = asyncio.Semaphore(concurrent_loads)
        self._room_changed = asyncio.Event()
        """Set whenever a load that waits may find room, or be next."""
        engine.when_resized(self.look_for_room)

    accepts_swaps = True
    """A new version can be loaded beside the one that it replaces; see `swaps.EngineWeights`."""

    @property
    def capacity(self) -> int:
        """Weights that fit now, not counting the room that is kept for swaps."""
        room = self._engine.adapter_room
        return max(1, self._configured if room is None else room.places)

    def has_room_for(self, version: Version) -> bool:
        """Return whether further weights, whichever they are, fit without an eviction."""
        return len(self._places.by_weights) < self.capacity

    def resident(self) -> dict[Digest, float]:
        """Return the weights in the engine, least recently used first, with the wall-clock time of
        their last use.
        """
        residents = self._places.at(Stage.RESIDENT)
        return {weights: place.last_used for weights, place in residents.items()}

    def loading(self) -> frozenset[Version]:
        """Return the versions whose weights the engine is loading, or was loading when it died; not
        those that still wait for their turn.
        """
        loading = self._places.at(Stage.LOADING).values()
        versions = {place.version for place in loading}
        return frozenset(versions | self._failed_with_engine)

    def placed(self) -> frozenset[Digest]:
        """Return all weights with a place, whose files the engine may still read."""
        return frozenset(self._places.by_weights)

    async def ensure(self, version: Version, *, swap: bool = False) -> None:
        """Return once the weights of `version` are in the engine; with `swap` they may use the room
        kept for swaps.

        Raises EngineUnavailable if that takes longer than the time limit (the load goes on) or
        fails for another reason than the weights, and AdapterRejected if the engine refuses them.
        """
        place = self._places.get(version.weights)
        if place is not None and place.stage is Stage.RESIDENT:
            self._places.use(version.weights)
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
        """Take the weights of a version out of the engine unless they are in use; do nothing if
        they are not there.

        A load that waits is given up; one that has its place ends first.
        """
        weights = version.weights
        if self._hooks.in_use(weights):
            return

        place = self._places.get(weights)
        if place is not None and place.load is not None:
            load = place.load
            # In the other stages the engine may be at work on it, which cannot be taken back.
            if place.stage in {Stage.WAITING, Stage.LEAVING}:
                load.cancel()
            await asyncio.wait({load})

        # Looked up again: what has been awaited may have taken it away.
        place = self._places.get(weights)
        is_resident = place is not None and place.stage is Stage.RESIDENT
        if is_resident and not self._hooks.in_use(weights):
            await self._unload(weights)

    def look_for_room(self) -> None:
        """Make loads that wait for room look again: there is more of it, or a version is no longer
        pinned or in use.
        """
        self._room_changed.set()

    def forget_all(self) -> None:
        """Empty every place, because the engine died.

        Whoever waits for a load gets EngineUnavailable.
        """
        for task in self._tasks():
            task.cancel()  # its place goes when it has ended
        for weights in self._places.at(Stage.RESIDENT):
            self._places.remove(weights)

        self._failed_with_engine.clear()
        self._has_held.clear()
        self._room_changed.set()

    async def stop(self) -> None:
        """Cancel the loads and unloads that still run, and wait until they have ended."""
        tasks = self._tasks()
        self.forget_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tasks(self) -> list[asyncio.Task[None]]:
        """Return the loads and unloads under way, also those that wait."""
        tasks: list[asyncio.Task[None]] = []
        for place in self._places.by_weights.values():
            if place.load is not None:
                tasks.append(place.load)
            if place.unload is not None:
                tasks.append(place.unload)
        return tasks

    def _ask_for(self, version: Version, swap: bool) -> asyncio.Task[None]:
        """Return the load of weights that are not resident, begun now unless it was before."""
        place = self._places.get_or_add(version)
        if place.load is None:
            place.load = asyncio.create_task(self._load(place))
            place.load.add_done_callback(lambda load: self._load_ended(place, load))
        if swap:
            place.is_swap = True
            self._room_changed.set()  # it may have waited for its turn until now
        return place.load

    async def _load(self, place: Place) -> None:
        """Take weights from WAITING to RESIDENT."""
        version, weights = place.version, place.version.weights
        if place.unload is not None:
            await asyncio.wait({place.unload})
        await self._take_room(weights, place)

        async with self._turns_at_engine:
            self._engine.check()
            self._places.enter(weights, Stage.LOADING)
            started = time.perf_counter()
            try:
                await self._engine.load(version)
            except AdapterRejected as error:
                # Weights that this engine has held cannot be at fault: the load may pass.
                if weights in self._has_held:
                    raise _not_now(version) from error
                self._hooks.refused(version, error)
                raise
            except EngineUnavailable:
                # Its death is noticed after this; until then it is known what was being loaded.
                if not self._engine_is_up():
                    self._failed_with_engine.add(version)
                raise

        self._has_held.add(weights)
        place.load, place.is_swap = None, False
        self._places.use(weights)
        self._hooks.loaded(version, time.perf_counter() - started)

    def _engine_is_up(self) -> bool:
        try:
            self._engine.check()
        except EngineUnavailable:
            return False
        return True

    async def _take_room(self, weights: Digest, place: Place) -> None:
        """Wait for room, and evict others where that makes some."""
        while not self._fits(weights, place):
            victim = self._victim() if self._is_next(weights, place) else None
            if victim is not None:
                evicted = self._places.by_weights[victim].version
                await self._unload(victim)
                self._hooks.evicted(evicted)
                continue

            # No `await` since the checks above, so no change of the room is missed.
            self._room_changed.clear()
            await self._room_changed.wait()

        self._places.enter(weights, Stage.PLACED)
        self._room_changed.set()  # it is the next one's turn

    def _fits(self, weights: Digest, place: Place) -> bool:
        limit = self.capacity + 1 if place.is_swap else self.capacity
        return self._is_next(weights, place) and self._places.taking_room < limit

    def _is_next(self, weights: Digest, place: Place) -> bool:
        """Return whether a load may look for room now.

        Swaps go first. Others queue: otherwise one could take the room that another, which still
        waits for its unload, has made.
        """
        return place.is_swap or weights == self._places.first_waiting()

    def _victim(self) -> Digest | None:
        residents, pinned = self._places.least_wanted_first(), self._hooks.pinned()
        for stays in (self._hooks.in_use, self._is_held):
            victim = choose_victim(residents, self.capacity, in_use=stays, pinned=pinned)
            if victim is not None:
                return victim
        return None

    def _is_held(self, weights: Digest) -> bool:
        return self._hooks.in_use(weights) and self._hooks.held(weights)

    async def _unload(self, weights: Digest) -> None:
        """Take resident weights out; once begun, that goes on even if the caller is cancelled."""
        place = self._places.enter(weights, Stage.LEAVING)
        unload = place.unload = asyncio.create_task(self._engine.unload(place.version))
        unload.add_done_callback(lambda unload: self._unload_ended(place, unload))

        # `_unload_ended` was added first and runs first: the room is free before anyone looks.
        await asyncio.wait({unload})
        if not unload.cancelled():  # else the engine died, and holds nothing
            unload.result()

    def _load_ended(self, place: Place, load: asyncio.Task[None]) -> None:
        """Empty the place of a load that failed or was cancelled; runs before whoever awaits it."""
        self._room_changed.set()
        if not load.cancelled():
            load.exception()  # marks it as seen: a load that nobody waits for may fail
        if place.load is not load:
            return  # the weights are resident, or were

        place.load, place.is_swap = None, False
        # Weights that leave keep their place until the unload has ended.
        if place.stage is not Stage.LEAVING:
            self._places.remove(place.version.weights)

    def _unload_ended(self, place: Place, unload: asyncio.Task[None]) -> None:
        """Empty the place, or let the load begin that has been asked for meanwhile."""
        self._room_changed.set()
        if not unload.cancelled():
            unload.exception()  # marks it as seen, as above

        place.unload = None
        if place.load is None:
            self._places.remove(place.version.weights)
        else:
            self._places.enter(place.version.weights, Stage.WAITING)


def _not_now(version: Version) -> EngineUnavailable:
    return EngineUnavailable(
        f"adapter {version.adapter!r} could not be loaded again", retry_after=RETRY_AFTER_S
    )

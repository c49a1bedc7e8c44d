"""Which versions' weights the engine holds: loads on demand, keeps the recently used, makes room.

Serial: the book-keeping, on one event loop. Parallel: loads of different versions, at most
`concurrent_loads` at a time; requests for one version share its load. A version in use is never
evicted, a pinned one only where pins hold every place. Places: `capacity` for requests, and one
more that only a swap may take, so that a new version always finds room beside the one that it
replaces. A version has its place from before its load begins until its unload has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from lorabay.errors import AdapterRejected, EngineUnavailable

if TYPE_CHECKING:
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Engine

RETRY_AFTER_S = 2.0


class Residency:
    """The versions in one engine.

    `in_use` and `pinned` say what must stay; call `look_for_room` when either may have become
    false. `admit` raises for a version that must not be loaded; `loaded`, `refused` and `evicted`
    are told facts.
    """

    def __init__(
        self,
        engine: Engine,
        capacity: int,
        *,
        load_timeout_s: float = 30.0,
        concurrent_loads: int = 2,
        in_use: Callable[[Version], bool] = lambda version: False,
        pinned: Callable[[Version], bool] = lambda version: False,
        admit: Callable[[Version], None] = lambda version: None,
        loaded: Callable[[Version, float], None] = lambda version, seconds: None,
        refused: Callable[[Version, AdapterRejected], None] = lambda version, error: None,
        evicted: Callable[[Version], None] = lambda version: None,
    ) -> None:
        self._engine = engine
        self._capacity = max(1, capacity)
        self._load_timeout_s = load_timeout_s
        self._turns = asyncio.Semaphore(concurrent_loads)
        self._in_use = in_use
        self._pinned = pinned
        self._admit = admit
        self._loaded = loaded
        self._refused = refused
        self._evicted = evicted
        self._resident: OrderedDict[Version, float] = OrderedDict()
        self._loads: dict[Version, asyncio.Task[None]] = {}
        self._leaving: dict[Version, asyncio.Task[None]] = {}
        self._queue: dict[Version, None] = {}
        self._placed: set[Version] = set()
        self._at_engine: set[Version] = set()
        self._lost: set[Version] = set()
        self._swaps: set[Version] = set()
        self._room = asyncio.Event()

    def resident(self) -> dict[Version, float]:
        """Give the versions in the engine, least recently used first, with the wall-clock time of
        their last use.
        """
        return dict(self._resident)

    def loading(self) -> frozenset[Version]:
        """Give the versions that the engine is loading now, or was when it died; not those that
        wait for their turn.
        """
        return frozenset(self._at_engine | self._lost)

    def held(self) -> frozenset[Version]:
        """Give every version whose files the engine may still read."""
        return frozenset((*self._resident, *self._loads, *self._leaving))

    @property
    def capacity(self) -> int:
        """Places for requests."""
        return self._capacity

    @property
    def has_room(self) -> bool:
        """True while a further version fits without an eviction."""
        return len(self._resident) + len(self._loads) + len(self._leaving) < self._capacity

    async def ensure(self, version: Version, *, swap: bool = False) -> None:
        """Return when `version` is in the engine; with `swap` it may take the place that is kept
        for new versions.

        Raises EngineUnavailable when that takes longer than the time limit (the load goes on),
        AdapterRejected when the engine refuses the weights.
        """
        if version in self._resident:
            self._touch(version)
            return
        self._engine.check()
        self._admit(version)
        if swap:
            self._swaps.add(version)
            self._room.set()
        load = self._loads.get(version) or self._begin(version)
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

    def _begin(self, version: Version) -> asyncio.Task[None]:
        load = self._loads[version] = asyncio.create_task(self._load(version))
        load.add_done_callback(lambda done: self._ended(version, done))
        return load

    def _ended(self, version: Version, load: asyncio.Task[None]) -> None:
        if self._loads.get(version) is load:
            del self._loads[version]
            self._swaps.discard(version)
        self._room.set()
        if not load.cancelled():
            load.exception()  # seen by whoever waited; a load that nobody waits for any more is not an error

    async def _load(self, version: Version) -> None:
        if (leaving := self._leaving.get(version)) is not None:
            await asyncio.wait({leaving})
        await self._take_place(version)
        try:
            async with self._turns:
                self._engine.check()
                self._at_engine.add(version)
                started = time.perf_counter()
                await self._engine.load(version)
            self._touch(version)
        except AdapterRejected as error:
            self._refused(version, error)
            raise
        except EngineUnavailable:
            if version in self._at_engine:
                self._lost.add(version)
            raise
        finally:
            self._placed.discard(version)
            self._at_engine.discard(version)
        self._loaded(version, time.perf_counter() - started)

    async def _take_place(self, version: Version) -> None:
        self._queue[version] = None
        try:
            while not self._fits(version):
                await self._make_room(version)
        finally:
            del self._queue[version]
            self._room.set()
        self._placed.add(version)

    def _fits(self, version: Version) -> bool:
        return self._is_next(version) and self._taken() < self._capacity + (version in self._swaps)

    def _is_next(self, version: Version) -> bool:
        """A swap waits for nobody; others take their turn, so that none takes a place that another
        has made.
        """
        return version in self._swaps or version == next(iter(self._queue))

    async def _make_room(self, version: Version) -> None:
        victim = self._victim() if self._is_next(version) else None
        if victim is None:
            self._room.clear()
            await self._room.wait()
        else:
            await self._unload(victim)
            self._evicted(victim)

    def _victim(self) -> Version | None:
        """The least recently used; a pinned one only where pins hold every place, so that others
        can be served.
        """
        pinned = {version for version in self._resident if self._pinned(version)}
        idle = [version for version in self._resident if not self._in_use(version)]
        if len(pinned) < self._capacity:
            idle = [version for version in idle if version not in pinned]
        return idle[0] if idle else None

    def _taken(self) -> int:
        return len(self._resident) + len(self._placed) + len(self._leaving)

    def _touch(self, version: Version) -> None:
        self._resident[version] = time.time()
        self._resident.move_to_end(version)

    async def drop(self, version: Version) -> None:
        """Take a version out of the engine unless it is in use; one that is not in it is
        success.
        """
        if (load := self._loads.get(version)) is not None:
            if version not in self._placed:
                load.cancel()
            await asyncio.wait({load})
        if version in self._resident and not self._in_use(version):
            await self._unload(version)

    async def _unload(self, version: Version) -> None:
        del self._resident[version]
        leaving = self._leaving[version] = asyncio.create_task(self._engine.unload(version))
        leaving.add_done_callback(lambda done: self._left(version, done))
        # An unload that has begun ends, whoever stops waiting for it.
        await asyncio.shield(leaving)

    def _left(self, version: Version, leaving: asyncio.Task[None]) -> None:
        if self._leaving.get(version) is leaving:
            del self._leaving[version]
        self._room.set()
        if not leaving.cancelled():
            leaving.exception()

    def look_for_room(self) -> None:
        """Something is no longer pinned or in use: loads that wait for room look again."""
        self._room.set()

    def forget_all(self) -> None:
        """The engine is gone and holds nothing: whoever waits for a load is told so."""
        for task in (*self._loads.values(), *self._leaving.values()):
            task.cancel()
        self._resident.clear()
        self._lost.clear()
        self._room.set()

    async def stop(self) -> None:
        """Let go of what is under way."""
        tasks = (*self._loads.values(), *self._leaving.values())
        self.forget_all()
        await asyncio.gather(*tasks, return_exceptions=True)

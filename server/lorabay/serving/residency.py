"""Which versions' weights the engine holds: loads on demand, keeps the recently used, makes room.

Serial: the book-keeping, on one event loop. Parallel: loads of different versions, at most `concurrent_loads` at a
time; requests for one version share its load. A version that is pinned or in use is never evicted. The engine holds
at most `capacity` versions, one fewer than it has room for, so that a swap finds a place beside them.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    from lorabay.catalog.spec import Version
    from lorabay.serving.engine import Engine

RETRY_AFTER_S = 2.0


class Residency:
    """The versions in one engine.

    `in_use` and `pinned` say what must stay, `idle` waits until a version is not in use; `loaded` and `evicted` are
    told facts.
    """

    def __init__(
        self,
        engine: Engine,
        capacity: int,
        *,
        load_timeout_s: float = 30.0,
        concurrent_loads: int = 2,
        in_use: Callable[[Version], bool] = lambda version: False,
        idle: Callable[[Version], Awaitable[None]] | None = None,
        pinned: Callable[[Version], bool] = lambda version: False,
        loaded: Callable[[Version, float], None] = lambda version, seconds: None,
        evicted: Callable[[Version], None] = lambda version: None,
    ) -> None:
        self._engine = engine
        self._capacity = max(1, capacity)
        self._load_timeout_s = load_timeout_s
        self._slots = asyncio.Semaphore(concurrent_loads)
        self._in_use = in_use
        self._idle = idle
        self._pinned = pinned
        self._loaded = loaded
        self._evicted = evicted
        self._resident: OrderedDict[Version, float] = OrderedDict()
        self._loading: dict[Version, asyncio.Task[None]] = {}
        self._room = asyncio.Event()

    def resident(self) -> dict[Version, float]:
        """Give the versions in the engine, least recently used first, with the wall-clock time of their last use."""
        return dict(self._resident)

    def loading(self) -> tuple[Version, ...]:
        """Give the versions whose load has begun and not ended."""
        return tuple(self._loading)

    async def ensure(self, version: Version) -> None:
        """Return when `version` is in the engine.

        Raises EngineUnavailable when that takes longer than the time limit (the load goes on), AdapterRejected when
        the engine refuses the weights.
        """
        if version in self._resident:
            self._touch(version)
            return
        task = self._loading.get(version)
        if task is None:
            task = self._loading[version] = asyncio.create_task(self._load(version))
            task.add_done_callback(lambda done: self._settle(version, done))
        try:
            await asyncio.wait_for(asyncio.shield(task), self._load_timeout_s)
        except TimeoutError:
            raise EngineUnavailable(
                f"adapter {version.adapter!r} is still being loaded", retry_after=RETRY_AFTER_S
            ) from None

    def _settle(self, version: Version, done: asyncio.Task[None]) -> None:
        self._loading.pop(version, None)
        if not done.cancelled():
            done.exception()  # seen by whoever waited; a load that nobody waits for any more is not an error

    async def _load(self, version: Version) -> None:
        async with self._slots:
            await self._make_room()
            started = time.perf_counter()
            await self._engine.load(version)
            self._touch(version)
            self._loaded(version, time.perf_counter() - started)

    async def _make_room(self) -> None:
        while len(self._resident) >= self._capacity:
            victim = next((v for v in self._resident if not self._in_use(v) and not self._pinned(v)), None)
            if victim is None:
                await self._wait_for_room()
                continue
            await self.drop(victim)
            self._evicted(victim)

    async def _wait_for_room(self) -> None:
        """Return when a version that was in use no longer is, or when one has left the engine."""
        self._room.clear()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._room.wait())]
        if self._idle is not None:
            waits += [asyncio.ensure_future(self._idle(version)) for version in self._resident]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _touch(self, version: Version) -> None:
        self._resident[version] = time.time()
        self._resident.move_to_end(version)

    @property
    def has_room(self) -> bool:
        """True while a further version fits without an eviction."""
        return len(self._resident) + len(self._loading) < self._capacity

    async def drop(self, version: Version) -> None:
        """Take a version out of the engine; one that is not in it is success."""
        if self._resident.pop(version, None) is not None:
            self._room.set()
            await self._engine.unload(version)

    def look_for_room(self) -> None:
        """Something is no longer pinned: a load that waits for room looks again."""
        self._room.set()

    def forget_all(self) -> None:
        """The engine is a new one and holds nothing."""
        for task in self._loading.values():
            task.cancel()
        self._resident.clear()
        self._room.set()

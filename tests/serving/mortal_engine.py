"""A fake engine that can die and come back; a test may block each of its steps, or make it fail."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from lorabay.catalog.versions import Version
from tests.fake_engine import FakeEngine


class MortalEngine(FakeEngine):
    """An engine that records its steps: `start`, `stop`, `load finance@...`, `unload finance@...`.

    `steps` holds those that began, `ended` those that ended well, in order.
    """

    def __init__(self, *, up: bool = False) -> None:
        super().__init__(up=up)
        self.steps: list[str] = []
        self.ended: list[str] = []
        self.most_loaded = 0
        self.most_loading = 0
        self.loading: set[Version] = set()
        self.unloading: set[Version] = set()
        self.deadly: set[str] = set()
        """Steps that the engine dies of."""
        self._may_beat = asyncio.Event()
        self._may_beat.set()
        self._held: dict[str, asyncio.Event] = {}
        self._failures: defaultdict[str, list[Exception]] = defaultdict(list)

    def hold(self, *steps: str) -> None:
        """Block these steps once they have begun; `load` means every load to come, `unload` every
        unload.
        """
        for step in steps:
            self._held.setdefault(step, asyncio.Event())

    def release(self, step: str) -> None:
        self._held.pop(step).set()

    def release_all(self) -> None:
        for step in tuple(self._held):
            self.release(step)

    def forgive_all(self) -> None:
        """Make every step end well from now on."""
        self.release_all()
        self._failures.clear()

    def fail(self, step: str, *errors: Exception) -> None:
        """Make the next attempts at `step` fail, one for each error."""
        self._failures[step] += errors

    def unloads(self, version: Version) -> int:
        """Return how often a version was taken out."""
        return self.ended.count(f"unload {version.id}")

    def die(self) -> None:
        """Lose everything; what is under way fails at once."""
        self.up = False
        self.loaded.clear()
        self.dead.set()
        self.release_all()

    def hang(self) -> None:
        """Give no sign of life any more, and end no load and no unload."""
        self._may_beat.clear()
        self.hold("load", "unload")

    async def beat(self) -> None:
        self.check()
        await self._may_beat.wait()

    async def kill(self) -> None:
        await self._take("kill")
        self.die()

    async def start(self) -> None:
        await self._take("start")
        self.dead.clear()
        self._may_beat.set()
        self.up = True

    async def stop(self) -> None:
        await self._take("stop")
        self.up = False

    async def load(self, version: Version) -> None:
        self.loading.add(version)
        self.most_loading = max(self.most_loading, len(self.loading))
        try:
            await self._take(f"load {version.id}")
        finally:
            self.loading.discard(version)
        self.check()
        self.loaded.add(version)
        self.most_loaded = max(self.most_loaded, len(self.loaded))

    async def unload(self, version: Version) -> None:
        self.unloading.add(version)
        try:
            await self._take(f"unload {version.id}")
        finally:
            self.unloading.discard(version)
        self.check()
        self.loaded.discard(version)

    async def _take(self, step: str) -> None:
        self.steps.append(step)
        if held := self._held.get(step) or self._held.get(step.split(maxsplit=1)[0]):
            await held.wait()
        if self._failures[step]:
            raise self._failures[step].pop(0)
        if step in self.deadly:
            self.die()
            return
        self.ended.append(step)

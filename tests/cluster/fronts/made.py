"""Servers of a cluster in one process: real databases and registries, and no engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorabay.accounts.database.database import Database, open_database
from lorabay.catalog.records import Records
from lorabay.catalog.registry.followed_records import FollowedRecords
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.registry.shared_names import Flip
from lorabay.catalog.versions import Digest, Version
from lorabay.cluster.fronts.following import Following
from lorabay.cluster.fronts.fronts import Fronts
from lorabay.cluster.fronts.unsettled import Unsettled
from lorabay.errors import AdapterConflict
from lorabay.reconcile.events import Actor
from tests.versions import BASE_NAMES

PATIENCE_S = 30.0


class Loads:
    """An engine's side that notes what it is to load and to unload."""

    def __init__(self) -> None:
        self.loaded: list[Version] = []
        self.retired: list[Version] = []
        self.takes_s = 0.0

    async def load_beside(self, version: Version) -> None:
        await asyncio.sleep(self.takes_s)
        self.loaded.append(version)

    def retire_replaced(self, before: Version | None, target: Version) -> None:
        if before is not None and before != target:
            self.retire(before)

    def retire(self, version: Version) -> None:
        self.retired.append(version)


@dataclass
class Served:
    """One server: what it means by its names, and what was asked of it as the keeper."""

    registry: Registry
    fronts: Fronts
    database: Database
    loads: Loads
    asked: list[tuple[str, Mapping[str, Any], Actor]] = field(default_factory=list)
    changed_rollouts: list[str] = field(default_factory=list)
    leading: asyncio.Task[None] | None = None
    terms: int = 0

    def changed(self, name: str, flip: Flip) -> None:
        """Note a name that was taken over."""
        self.changed_rollouts.append(name)

    def begins(self) -> None:
        """Note that it keeps names that another server has kept."""
        self.terms += 1

    async def rests(self) -> None:
        """Have nothing to do."""

    async def carry_out(self, method: str, arguments: Mapping[str, Any], who: Actor) -> Any:
        """Do what another server asks for."""
        self.asked.append((method, arguments, who))
        if method == "pin":
            self.registry.set_pinned(arguments["name"], True)
            return {"pinned": True}
        raise AdapterConflict("that cannot be done", param="name")

    async def answer(self, model: str) -> str:
        """Return the digit of the version that answers a request, as an exchange does."""
        await self.fronts.unsettled.wait(model)
        with self.registry.acquire(model) as lease:
            assert lease.version is not None
            return lease.version.digest[0]

    async def kill(self) -> None:
        """End without a word, as a process that is killed."""
        assert self.leading is not None
        assert self.fronts._looking is not None
        for task in (self.fronts._looking, self.leading):
            task.cancel()
            await asyncio.wait({task})


class Cluster:
    """Servers over one database and one store."""

    def __init__(self, place: str | Path, folder: Path) -> None:
        self.place, self.folder = place, folder
        self.store: dict[Digest, Version] = {}

    def stored(self, version: Version) -> Version:
        """Put a version into the store that all servers share."""
        self.store[version.digest] = version
        return version

    def find(self, wanted: Sequence[tuple[Any, Digest]]) -> list[Version | None]:
        return [self.store.get(digest) for _, digest in wanted]

    @asynccontextmanager
    async def server(self, *, leads: bool = True) -> AsyncIterator[Served]:
        """Run a server until the block ends."""
        with open_database(self.place) as database:
            fronts = Fronts(database, "shop", Unsettled(BASE_NAMES))
            await fronts.begin()
            records = FollowedRecords(Records(self.folder), lambda: fronts.keeps_names)
            registry = Registry(BASE_NAMES, records)
            registry.last_run.restore(self.find)
            served = Served(registry, fronts, database, Loads())
            following = Following(registry.shared, served.loads, fronts.unsettled, served.changed)
            fronts.attach(registry.shared, following, served.carry_out, served)
            await within(fronts.joined())
            if leads:
                served.leading = asyncio.create_task(fronts.lead(asyncio.Event().wait))  # type: ignore[arg-type]
            try:
                yield served
            finally:
                if served.leading is not None:
                    served.leading.cancel()
                await fronts.leave()


async def within(work: Any, seconds: float = PATIENCE_S) -> Any:
    async with asyncio.timeout(seconds):
        return await work


async def until(holds: Any, seconds: float = PATIENCE_S) -> None:
    """Return once something holds."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)

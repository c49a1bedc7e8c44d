"""A directory of adapters and the real parts that serve it; only the engine is a fake."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.adapter_defaults import AdapterDefaults
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.names import AdapterName
from lorabay.catalog.registry.adapter_state import AdapterStatus
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.store import Store
from lorabay.catalog.versions import AdapterSpec, Version
from lorabay.metrics import Metrics
from lorabay.reconcile.events import Actor, EventLog
from lorabay.reconcile.reconciler import Directory, Reconciler
from lorabay.serving.manager import AdapterManager, Loading
from lorabay.serving.residency import Hooks, Residency
from tests import making
from tests.serving.mortal_engine import MortalEngine
from tests.versions import BASE_NAMES

POLL_S = 10.0

ADMIN = Actor("admin", "request-7")
"""An administrator, and the id of a request."""


async def never(root: Path, wake: Callable[[], None], roots: tuple[Path, ...]) -> None:
    """A watcher on a file system without events."""
    await asyncio.Event().wait()


def seconds() -> float:
    """The time of the test's event loop, which begins at 0."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


class Bay:
    """One server's state on disk and in memory. `restart` makes the second anew over the first."""

    def __init__(
        self,
        folder: Path,
        shapes: BaseShapes,
        *,
        keep: int = 2,
        removed_keep_s: float = 0.0,
        **directory: Any,
    ) -> None:
        self.folder = folder
        self.root = folder / "adapters"
        self.root.mkdir()
        self._scratch = folder / "scratch"
        self._scratch.mkdir()
        self._count = itertools.count()
        self._keep = keep
        self._removed_keep_s = removed_keep_s
        self.checks = Checks(shapes, max_rank=16)
        self.directory = Directory(self.root, **({"settle_s": 0.0, "poll_s": POLL_S} | directory))
        self._specs: dict[tuple[int, int, str], AdapterSpec] = {}
        self._open()

    def _open(self) -> None:
        self.store = Store.open(self.folder / "store")
        self.registry = Registry(
            BASE_NAMES,
            self.store.records("bay"),
            keep=self._keep,
            removed_keep_s=self._removed_keep_s,
            clock=seconds,
            wall=seconds,
        )
        self.registry.last_run.restore(self.store.get_all)
        self.metrics = Metrics(CollectorRegistry())
        self.events = EventLog(self.folder / "store" / "events.jsonl")
        self.reconciler = Reconciler(
            self.directory, self.store, self.checks, self.registry, self.events, self.metrics
        )
        self.changes = self.reconciler.changes.admins

    def restart(self) -> None:
        """A new process over the same disk."""
        self.store.close()
        self._open()

    @contextmanager
    def beside(self) -> Iterator[Bay]:
        """Another server over the same disk."""
        other = copy(self)
        other._open()
        try:
            yield other
        finally:
            other.store.close()

    def residency(self, engine: MortalEngine, capacity: int = 8, **hooks: Any) -> Residency:
        """Bring an engine up, without a manager around it."""
        leased = Hooks(in_use=lambda weights: self.registry.leases_on(weights) > 0, **hooks)
        residency = Residency(engine, capacity, leased)
        self.registry.when_idle(lambda version: residency.look_for_room())
        self.reconciler.swaps.engine_is_up(residency)
        return residency

    def manager(
        self, engine: MortalEngine, *, capacity: int = 4, preload: int = 2, **options: Any
    ) -> AdapterManager:
        loading = Loading(capacity, preload, timeout_s=options.pop("timeout_s", 30.0))
        return AdapterManager(
            engine, self.reconciler, self.metrics, loading, **({"watch": never} | options)
        )

    def make(self, weights: int, *, rank: int = 4, says: str = "") -> Path:
        """Return a folder outside the directory; `weights` is the seed of its tensors, and `says`
        the description in its `lorabay.toml`.
        """
        tensors = making.lora_tensors(seed=weights, rank=rank)
        folder = making.make_adapter(
            self._scratch / str(next(self._count)),
            config=making.lora_config(r=rank),
            tensors=tensors,
        )
        if says:
            (folder / "lorabay.toml").write_text(f'description = "{says}"')
        return folder

    def put(self, name: str, weights: int, *, rank: int = 4, says: str = "") -> None:
        """Rename a new folder into place, in place of the one before."""
        fresh = self.make(weights, rank=rank, says=says)
        self.take_away(name)
        fresh.rename(self.root / name)

    def put_broken(self, name: str) -> None:
        self.put(name, 0)
        (self.root / name / "adapter_config.json").write_text("no JSON")

    def touch(self, name: str) -> None:
        """Write the same bytes into a new file, of another time however coarse the clock is."""
        path = self.root / name / "adapter_config.json"
        content, before = path.read_bytes(), path.stat()
        path.unlink()
        path.write_bytes(content)
        now = path.stat()
        os.utime(path, ns=(now.st_atime_ns, max(now.st_mtime_ns, before.st_mtime_ns + 1)))

    def take_away(self, name: str) -> None:
        if (self.root / name).exists():
            shutil.rmtree(self.root / name)

    def version(self, name: str, weights: int, *, rank: int = 4, says: str = "") -> Version:
        """The version that `put` leads to."""
        spec = self._specs.get((weights, rank, says))
        if spec is None:
            folder = self.make(weights, rank=rank, says=says)
            found = validate(folder, replace(self.checks, max_rank=512))
            assert isinstance(found, AdapterSpec)
            spec = self._specs[weights, rank, says] = found
        path = self.folder / "store" / "versions" / str(spec.weights_digest)
        return Version(AdapterName(name), spec, path, AdapterDefaults(description=says or None))

    async def look(self) -> None:
        """Look at the directory until the next look is due by the timer alone."""
        while (wait_s := await self.reconciler.reconcile()) < POLL_S:
            await asyncio.sleep(wait_s)

    def begin_look(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.look())

    async def serve(self, name: str, weights: int, *, says: str = "") -> Version:
        """Put a folder into place and look."""
        self.put(name, weights, says=says)
        await self.look()
        version = self.live(name)
        assert version == self.version(name, weights, says=says)
        return version

    async def restarted(self, engine: MortalEngine) -> Residency:
        """Start a new process over the same disk; return the residency of its engine."""
        self.restart()
        await self.reconciler.read_directory()
        residency = self.residency(engine)
        await self.look()
        return residency

    def live(self, name: str) -> Version | None:
        return self.registry.live(name)

    def status(self, name: str) -> AdapterStatus:
        status = self.registry.status(name)
        assert status is not None, name
        return status

    def state(self, name: str) -> str:
        return str(self.status(name).state)

    def happened(self, *, adapter: str | None = None) -> list[str]:
        """Return the events of the log, oldest first."""
        events = reversed(self.events.latest(1000))
        return [event.what for event in events if adapter is None or event.adapter == adapter]

    def in_store(self) -> set[str]:
        return {spec.digest for spec in self.store.versions()}

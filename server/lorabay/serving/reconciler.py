"""Makes what is served follow the adapter directory: look, plan, apply, again.

One task does all of it, so two changes of one adapter can never be applied at once; the last one found wins. What
wakes it (a watcher, a timer, an admin call) says only "look again". A new version is stored and loaded before its name
flips to it; the old one is unloaded when its last request has ended. No folder, however broken, stops the loop.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.catalog.discovery import Candidate, Settling, scan
from lorabay.catalog.names import AdapterName
from lorabay.catalog.registry import AdapterState
from lorabay.catalog.spec import Reason, Rejected, Version
from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable, SetupError
from lorabay.serving.events import FOLDER
from lorabay.serving.plan import Plan, plan

if TYPE_CHECKING:
    from lorabay.catalog.registry import Registry
    from lorabay.catalog.store import Store
    from lorabay.catalog.validation import Checks
    from lorabay.metrics import Metrics
    from lorabay.serving.events import EventLog
    from lorabay.serving.residency import Residency

REMOVAL_CONFIRM_S = 0.25

API_SOURCE = "api:"
"""How the source key of a version begins that an admin call brought, not a folder."""


@dataclass(frozen=True, slots=True)
class Directory:
    """What is watched and how: where the adapters lie, where else links may lead, how patient to be (seconds)."""

    root: Path
    allowed_roots: tuple[Path, ...] = ()
    settle_s: float = 2.0
    poll_s: float = 10.0


class Reconciler:
    """Keeps one registry, and the engine behind it, at what one directory holds."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        checks: Checks,
        registry: Registry,
        events: EventLog,
        metrics: Metrics,
    ) -> None:
        self._directory = directory
        self._store = store
        self._checks = checks
        self._registry = registry
        self._events = events
        self._metrics = metrics
        # The rank limit is chosen from what the folder holds; a folder is the same folder under another limit.
        self._identity = checks.identity
        self._settling = Settling(directory.settle_s)
        self._judged: dict[str, str] = {}
        self._missing: dict[str, float] = {}
        self._residency: Residency | None = None
        self._wake = asyncio.Event()
        self._passes = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._settled = False

    @property
    def declared_set_loaded(self) -> bool:
        """True once every folder found at the start has been dealt with."""
        return self._settled

    def attach(self, residency: Residency) -> None:
        """From now on new versions go into an engine before their name flips to them."""
        self._residency = residency

    def limit_rank(self, max_rank: int) -> None:
        """From now on refuse adapters above the rank that the engine was started with."""
        self._checks = replace(self._checks, max_rank=max_rank)

    @property
    def base_names(self) -> tuple[str, ...]:
        """Names that no adapter may have."""
        return self._checks.base.names

    def look_again(self) -> None:
        """Wake the loop; cheap, and harmless at any time."""
        self._wake.set()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            self._wake.clear()
            wait_s = await self.reconcile()
            try:
                await asyncio.wait_for(self._wake.wait(), wait_s)
            except TimeoutError:
                continue

    async def settle(self) -> None:
        """Reconcile until nothing found is still changing; for the start, before there is an engine.

        Raises SetupError when the directory cannot be listed: at the start that is a mistake, later it may pass.
        """
        await asyncio.to_thread(self._scan)
        self._restore_api_sources()
        deadline = time.monotonic() + 2 * self._directory.settle_s
        while (wait_s := await self.reconcile()) < self._directory.poll_s and time.monotonic() < deadline:
            await asyncio.sleep(wait_s)
        self._settled = True

    def _restore_api_sources(self) -> None:
        """What an admin call brought is in no folder; the store still has it after a restart."""
        for status in self._registry.snapshot():
            source = self._registry.source_of(status.name)
            digest = self._registry.remembered(status.name, source)
            if source.startswith(API_SOURCE) and digest is not None:
                version = self._store.get(AdapterName(status.name), digest)
                if version is not None:
                    self._registry.set_live(self._registry.offer(version, source))

    async def reconcile(self) -> float:
        """Look at the directory once and apply what it asks for; gives the seconds until the next look is due."""
        async with self._passes:
            started = time.perf_counter()
            try:
                found = await asyncio.to_thread(self._scan)
            except SetupError as error:
                # The directory itself is away (an unmounted volume): that is no reason to remove what is served.
                self._events.add("scan", result=error.message)
                return self._directory.poll_s
            served = self._folder_names()
            self._missing = {name: self._missing.get(name, started) for name in served if name not in found}
            todo = plan(found, served, self._judged, self._settling.remaining, self._absence)
            await self._apply(todo)
            self._metrics.reconcile_seconds.observe(time.perf_counter() - started)
            return self._directory.poll_s if todo.wait_s is None else min(todo.wait_s, self._directory.poll_s)

    def _absence(self, name: str) -> float:
        """Seconds until a missing folder counts as removed.

        Replacing a folder by two renames (`mv finance old; mv new finance`) leaves a moment without one.
        """
        return self._missing[name] + REMOVAL_CONFIRM_S - time.perf_counter()

    def _scan(self) -> dict[str, Candidate]:
        return scan(
            self._directory.root,
            reserved=frozenset(self._checks.base.names),
            roots=self._directory.allowed_roots,
            live=self._registry.names(),
        )

    def _folder_names(self) -> set[str]:
        return {
            status.name
            for status in self._registry.snapshot()
            if status.state not in (AdapterState.DRAINING, AdapterState.REMOVED)
            and not self._registry.source_of(status.name).startswith(API_SOURCE)
        }

    async def _apply(self, todo: Plan) -> None:
        for name in todo.removals:
            self._remove(name, who=FOLDER)
        self._settling.forget(todo.removals)
        for name in todo.unsettled:
            if self._registry.live(name) is None:
                self._registry.mark(name, AdapterState.PENDING)
        for candidate in todo.intake:
            await self._take_in(candidate)
        if todo.removals or todo.intake:
            await asyncio.to_thread(self._store.collect, self._registry.in_use())

    def _remove(self, name: str, *, who: str) -> None:
        """Take a name away at once; requests that run finish, then the weights leave the engine."""
        versions = self._registry.kept(name)
        self._registry.remove(name)
        self._judged.pop(name, None)
        self._events.add("removed", who=who, adapter=name)
        for version in versions:
            self._retire(version)

    async def _take_in(self, candidate: Candidate) -> None:
        name = AdapterName(candidate.name)
        self._judged[name] = candidate.fingerprint
        if candidate.reasons:
            self._refuse(name, AdapterState.REJECTED, candidate.reasons)
            return
        key = f"{candidate.fingerprint} {self._identity}"
        result = await asyncio.to_thread(self._find_or_ingest, candidate.path, name, key)
        if isinstance(result, Rejected):
            if result.transient:
                del self._judged[name]
            self._refuse(name, AdapterState.REJECTED, result.reasons)
            return
        try:
            await self._offer(result, key, who=FOLDER)
        except AdapterRejected:
            return
        except EngineUnavailable:
            del self._judged[name]  # the folder is not to blame: try again at the next look

    def _find_or_ingest(self, path: Path, name: AdapterName, key: str) -> Version | Rejected:
        digest = self._registry.remembered(name, key)
        known = self._store.get(name, digest) if digest else None
        roots = (self._directory.root, *self._directory.allowed_roots)
        if known is not None and known.spec.rank <= self._checks.max_rank:
            return known
        return self._store.ingest(path, name, self._checks, roots=roots)

    async def ingest(self, path: Path, name: AdapterName, *, replace: bool, who: str) -> Version:
        """Serve the adapter in `path`, which an admin names, from now on and after a restart.

        Raises AdapterRejected with every reason, or AdapterConflict when the name is served with other weights and
        `replace` is false.
        """
        async with self._passes:
            roots = (self._directory.root, *self._directory.allowed_roots)
            result = await asyncio.to_thread(self._store.ingest, path, name, self._checks, roots=roots)
            if isinstance(result, Rejected):
                raise AdapterRejected(name, tuple(reason.text for reason in result.reasons))
            live = self._registry.live(name)
            if live is not None and live != result and not replace:
                raise AdapterConflict(
                    f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, "
                    "set 'load_inplace' to True."
                )
            await self._offer(result, f"{API_SOURCE}{path}", who=who)
            return result

    async def roll_back(self, name: str, digest_prefix: str | None, *, who: str) -> None:
        """Flip back to a kept version until the folder changes; raises AdapterConflict when there is none."""
        async with self._passes:
            target = self._registry.rollback_target(name, digest_prefix)
            before = self._registry.live(name)
            if self._residency is not None:
                await self._residency.ensure(target)
            self._registry.roll_back(target)
            self._events.add("rolled back", who=who, adapter=name, version=target.id)
            if before is not None and before != target:
                self._retire(before)

    async def withdraw(self, name: str, *, who: str) -> None:
        """Take a name away although its folder stays; the folder counts again once it changes."""
        async with self._passes:
            judged = self._judged.get(name)
            self._remove(name, who=who)
            if judged is not None:
                self._judged[name] = judged

    async def _offer(self, version: Version, key: str, *, who: str) -> None:
        """Make what a source now holds the live version of its name, unless a rollback says otherwise.

        Raises AdapterRejected or EngineUnavailable, with the old version still live and the attempt marked.
        """
        target = self._registry.offer(version, key)
        if target == self._registry.live(version.adapter):
            self._registry.set_live(target)
            return
        try:
            await self._flip(target, who=who)
        except AdapterRejected as error:
            self._refuse(version.adapter, AdapterState.FAILED, tuple(Reason("engine", text) for text in error.reasons))
            raise
        except EngineUnavailable as error:
            self._refuse(version.adapter, AdapterState.FAILED, (Reason("engine_unavailable", error.message),))
            raise

    async def _flip(self, target: Version, *, who: str) -> None:
        """Load `target`, then let its name mean it, then retire what was live before."""
        before = self._registry.live(target.adapter)
        if self._residency is not None and (before is not None or self._residency.has_room):
            self._registry.mark(target.adapter, AdapterState.LOADING)
            await self._residency.ensure(target)
        self._registry.set_live(target)
        self._events.add("added" if before is None else "swapped", who=who, adapter=target.adapter, version=target.id)
        if before is not None and before != target:
            self._retire(before)

    def _refuse(self, name: str, state: AdapterState, reasons: tuple[Reason, ...]) -> None:
        self._registry.mark(name, state, reasons)
        self._events.add(state.value, adapter=name, result="; ".join(reason.text for reason in reasons))
        for reason in reasons:
            self._metrics.rejected.labels(reason.code).inc()

    def _retire(self, version: Version) -> None:
        task = asyncio.create_task(self._unload_when_idle(version))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _unload_when_idle(self, version: Version) -> None:
        await self._registry.idle(version)
        live = self._registry.live(version.adapter)
        if self._residency is not None and live != version and not self._registry.leases(version):
            try:
                await self._residency.drop(version)
            except EngineUnavailable:
                return  # the engine that held it is gone, and the weights with it

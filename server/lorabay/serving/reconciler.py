"""Makes what is served follow the adapter directory: look, plan, apply, again.

One task does all of it, so two changes of one adapter can never be applied at once; the last one found wins. What
wakes it (a watcher, a timer, an admin call) says only "look again". A new version is stored and loaded before its name
flips to it; the old one is unloaded when its last request has ended. No folder, however broken, stops the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from lorabay.catalog.discovery import Candidate, Settling, scan
from lorabay.catalog.names import AdapterName
from lorabay.catalog.registry import AdapterState
from lorabay.catalog.spec import DIGEST_PREFIX, Digest, Reason, Rejected, Version
from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable, SetupError
from lorabay.serving.events import FOLDER
from lorabay.serving.plan import Plan, plan
from lorabay.serving.sources import AdminSource, folder_key
from lorabay.serving.swaps import GONE, Swaps

if TYPE_CHECKING:
    from lorabay.catalog.registry import Registry
    from lorabay.catalog.store import Store
    from lorabay.catalog.validation import Checks
    from lorabay.metrics import Metrics
    from lorabay.serving.events import EventLog
    from lorabay.serving.residency import Residency

logger = structlog.get_logger(__name__)

REMOVAL_CONFIRM_S = 0.25
"""How long a folder must be missing before its name goes."""


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
        self._swaps = Swaps(registry, events, metrics)
        self._wake = asyncio.Event()
        self._passes = asyncio.Lock()
        self._trouble: str | None = None
        self._unsettled = False
        self._settled = False

    @property
    def declared_set_loaded(self) -> bool:
        """True once every folder found at the start has been dealt with."""
        return self._settled

    def attach(self, residency: Residency) -> None:
        """From now on new versions go into an engine before their name flips to them."""
        self._swaps.attach(residency)

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
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)

    async def stop(self) -> None:
        """Let go of what still drains."""
        await self._swaps.stop()

    async def settle(self) -> None:
        """Reconcile until nothing found is still changing; for the start, before there is an engine.

        Raises SetupError when the directory cannot be listed: at the start that is a mistake, later it may pass.
        """
        await asyncio.to_thread(self._scan)
        await self._restore_admin_sources()
        clock = asyncio.get_running_loop().time
        deadline = clock() + 2 * self._directory.settle_s
        wait_s = await self.reconcile()
        while self._unsettled and clock() < deadline:
            await asyncio.sleep(wait_s)
            wait_s = await self.reconcile()
        await self._collect()  # also what a killed server left half-made
        self._settled = True

    async def _restore_admin_sources(self) -> None:
        """What an admin call brought is in no folder; the store still has it after a restart."""
        for status in self._registry.snapshot():
            key, name = self._registry.source_of(status.name), AdapterName(status.name)
            source = AdminSource.read(key)
            if source is None:
                continue
            # On another base the key differs, and what was stored has to be checked again.
            key = source.key(self._identity)
            found = await asyncio.to_thread(self._find_or_ingest, source.path, name, key)
            if isinstance(found, Rejected):
                self._swaps.refuse(name, AdapterState.REJECTED, found.reasons, who=FOLDER)
                continue
            await self._swaps.offer(found, key, who=FOLDER)
            if source.passed_over is not None:
                self._judged[name] = source.passed_over

    async def reconcile(self) -> float:
        """Look at the directory once and apply what it asks for; gives the seconds until the next look is due."""
        async with self._passes:
            started = time.perf_counter()
            try:
                found = await asyncio.to_thread(self._scan)
                self._trouble = None
                todo = self._plan(found)
                await self._apply(todo)
            except SetupError as error:
                # The directory is away (an unmounted volume), or the store is: no reason to remove what is served.
                if error.message != self._trouble:
                    self._trouble = error.message
                    self._events.add("scan", result=error.message)
                return self._directory.poll_s
            self._metrics.reconcile_seconds.observe(time.perf_counter() - started)
            self._unsettled = bool(todo.unsettled)
            return self._directory.poll_s if todo.wait_s is None else min(todo.wait_s, self._directory.poll_s)

    def _scan(self) -> dict[str, Candidate]:
        return scan(
            self._directory.root,
            reserved=frozenset(self._checks.base.names),
            roots=self._directory.allowed_roots,
            live=self._registry.names(),
        )

    def _plan(self, found: Mapping[str, Candidate]) -> Plan:
        served = self._folder_names()
        now = asyncio.get_running_loop().time()
        self._missing = {name: self._missing.get(name, now) for name in served if name not in found}
        # A folder that went and came back is a new one, also where no name was served for it.
        gone = [name for name in self._judged if name not in found and name not in served]
        for name in gone:
            del self._judged[name]
        self._settling.forget(gone)
        return plan(found, served, self._judged, self._settling.remaining, self._absence)

    def _absence(self, name: str) -> float:
        """Seconds until a missing folder counts as removed.

        Replacing a folder by two renames (`mv finance old; mv new finance`) leaves a moment without one.
        """
        return self._missing[name] + REMOVAL_CONFIRM_S - asyncio.get_running_loop().time()

    def _folder_names(self) -> set[str]:
        return {
            status.name
            for status in self._registry.snapshot()
            if status.state not in GONE and AdminSource.read(self._registry.source_of(status.name)) is None
        }

    async def _apply(self, todo: Plan) -> None:
        for name in todo.removals:
            self._swaps.remove(name, who=FOLDER)
            self._judged.pop(name, None)
        self._settling.forget(todo.removals)
        for name in todo.unsettled:
            if self._registry.live(name) is None:
                self._registry.mark(name, AdapterState.PENDING)
        for candidate in todo.intake:
            await self._take_in(candidate)
        if todo.removals or todo.intake or self._swaps.left_over:
            await self._collect()

    async def _collect(self) -> None:
        self._swaps.left_over = False
        held = {version.digest for version in self._swaps.held()}
        await asyncio.to_thread(self._store.collect, self._registry.in_use() | held)

    async def _take_in(self, candidate: Candidate) -> None:
        name = AdapterName(candidate.name)
        self._judged[name] = candidate.fingerprint
        if candidate.reasons:
            self._swaps.refuse(name, AdapterState.REJECTED, candidate.reasons, who=FOLDER)
            return
        key = folder_key(candidate.fingerprint, self._identity)
        result = await asyncio.to_thread(self._find_or_ingest, candidate.path, name, key)
        if isinstance(result, Rejected):
            if result.transient:
                del self._judged[name]
            self._swaps.refuse(name, AdapterState.REJECTED, result.reasons, who=FOLDER)
            return
        try:
            await self._swaps.offer(result, key, who=FOLDER)
        except AdapterRejected:
            return
        except EngineUnavailable:
            del self._judged[name]  # the folder is not to blame: try again at the next look

    def _find_or_ingest(self, path: Path, name: AdapterName, key: str) -> Version | Rejected:
        try:
            digest = self._registry.remembered(name, key)
            known = self._store.get(name, digest) if digest else None
            if known is not None and known.spec.rank <= self._checks.max_rank:
                return known
            return self._ingest(path, name)
        except SetupError as error:
            return Rejected((Reason("store_write", error.message),))
        except Exception:  # a folder that finds a bug in a check must not stop the others
            logger.exception("bug", adapter=name, path=str(path))
            return Rejected((Reason("internal", "a check failed unexpectedly; the server's log has the details"),))

    def _ingest(self, path: Path, name: AdapterName) -> Version | Rejected:
        roots = (self._directory.root, *self._directory.allowed_roots)
        return self._store.ingest(path, name, self._checks, roots=roots)

    async def ingest(self, path: Path, name: AdapterName, *, replace: bool, who: str) -> Version:
        """Serve the adapter in `path`, which an admin names, from now on and after a restart.

        Raises AdapterRejected with every reason, or AdapterConflict when the name is served with other weights and
        `replace` is false.
        """
        async with self._passes:
            is_own = path == self._directory.root.resolve() / name
            own = (await asyncio.to_thread(self._scan)).get(name) if is_own else None
            result = await asyncio.to_thread(self._ingest, path, name)
            if isinstance(result, Rejected):
                raise AdapterRejected(name, tuple(reason.text for reason in result.reasons))
            live = self._registry.live(name)
            if live == result:
                return result
            if live is not None and not replace:
                raise AdapterConflict(f"adapter {name!r} is already served with other weights")
            if own is not None:
                # The name's own folder, which the next look would have found: it lives and dies by that folder.
                await self._swaps.replace(result, folder_key(own.fingerprint, self._identity), who=who)
                self._judged[name] = own.fingerprint
            else:
                source = AdminSource(path, self._judged.get(name))
                await self._swaps.replace(result, source.key(self._identity), who=who)
            return result

    async def roll_back(self, name: str, digest_prefix: str | None, *, who: str) -> None:
        """Flip back to a kept version until the folder changes; raises AdapterConflict when there is none."""
        async with self._passes:
            await self._swaps.roll_back(self._registry.rollback_target(name, digest_prefix), who=who)

    async def withdraw(self, name: str, *, who: str) -> None:
        """Take a name away although its folder stays; the folder counts again once it changes."""
        async with self._passes:
            self._swaps.remove(name, who=who)

    async def delete(self, digest: Digest, *, who: str) -> None:
        """Drop a kept version from its adapters, the engine and the store.

        Raises AdapterConflict while it is live or in use.
        """
        async with self._passes:
            self._registry.forget(digest)
            await self._swaps.forget(frozenset(v for v in self._swaps.held() if v.digest == digest))
            await self._collect()
            self._events.add("deleted", who=who, version=digest[:DIGEST_PREFIX])

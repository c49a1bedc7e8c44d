"""Makes the served adapters follow the adapter directory: look, plan, apply, again.

A watcher, a timer or an admin call wakes the loop and says only "look again"; each look compares
everything. Removals take effect at once; changes are begun, and made by `AdapterChanges`. No
folder, however broken, stops the loop.

Serial: looks. Parallel: the changes that they lead to. Knows nothing of how a change is made.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from lorabay.catalog.discovery import Candidate, scan
from lorabay.catalog.records import AdminSource
from lorabay.catalog.registry import AdapterState
from lorabay.catalog.settling import Settling
from lorabay.errors import SetupError
from lorabay.serving.adapter_changes import AdapterChanges
from lorabay.serving.ingest import Ingest
from lorabay.serving.plan import Plan, plan
from lorabay.serving.store_sweep import StoreSweep
from lorabay.serving.swaps import Swaps

if TYPE_CHECKING:
    from lorabay.catalog.admission import Checks
    from lorabay.catalog.registry import AdapterStatus, Registry
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import Digest, Version
    from lorabay.metrics import Metrics
    from lorabay.serving.events import EventLog

logger = structlog.get_logger(__name__)

REMOVAL_CONFIRM_S = 0.25
"""How long a folder must be missing before its name is removed.

Replacing a folder by two renames (`mv finance old; mv new finance`) leaves a moment without one.
"""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Directory:
    """The adapter directory: where it is, where else links may lead, and its times in seconds."""

    root: Path
    allowed_roots: tuple[Path, ...] = ()
    settle_s: float = 2.0
    poll_s: float = 10.0


class Reconciler:
    """Keeps one registry, and the engine behind it, at what one directory holds.

    Builds the parts that do it: `ingest`, `swaps` and `changes`.
    """

    def __init__(
        self,
        directory: Directory,
        store: Store,
        checks: Checks,
        registry: Registry,
        events: EventLog,
        metrics: Metrics,
    ) -> None:
        self.directory = directory
        self.registry = registry
        self.events = events
        self._metrics = metrics

        self.ingest = Ingest(store, checks, (directory.root, *directory.allowed_roots))
        self._sweep = StoreSweep(self.ingest, self._needed)
        self.swaps = Swaps(registry, self._sweep, events, metrics)
        self.changes = AdapterChanges(
            directory.root,
            registry,
            self.ingest,
            self.swaps,
            self._sweep,
            events,
            look_again=self.look_again,
        )

        self._settling = Settling(directory.settle_s)
        self._missing_since: dict[str, float] = {}
        self._looks = asyncio.Lock()
        self._wake = asyncio.Event()
        self._troubles: dict[str, str] = {}
        self._has_unsettled = False
        self._has_read_directory = False

    @property
    def has_read_directory(self) -> bool:
        """True once every folder found at the start has been dealt with."""
        return self._has_read_directory

    def look_again(self) -> None:
        """Wake the loop; cheap, and harmless at any time."""
        self._wake.set()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            # Before the look: a change while it runs wakes the loop once more.
            self._wake.clear()
            try:
                with self._metrics.reconcile_seconds.time():
                    wait_s = await self._look()
            except Exception:  # keep watching, whatever went wrong
                wait_s = self.directory.poll_s
                # Nor does a log that cannot be written stop the loop.
                with contextlib.suppress(Exception):
                    logger.exception("bug", root=str(self.directory.root))

            # Not wait_for, which in Python 3.11 forgets to be cancelled when it is woken at the
            # same moment.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def stop(self) -> None:
        """Cancel changes under way, and stop waiting for versions that still drain."""
        await self.changes.stop()

    async def read_directory(self) -> None:
        """Reconcile until no folder is still changing; for the start, before there is an engine.

        Raises SetupError when the directory cannot be listed: at the start that is a mistake, later
        it may pass.
        """
        # Not guarded: a directory that cannot be listed ends the start.
        await self._scan()
        self.swaps.distrust(self._accepted_under_other_checks())
        await self.changes.restore_admin_sources()

        clock = asyncio.get_running_loop().time
        deadline = clock() + 2 * self.directory.settle_s
        wait_s = await self.reconcile()
        while self._has_unsettled and clock() < deadline:
            await asyncio.sleep(wait_s)
            wait_s = await self.reconcile()

        # Also removes what a killed server left half-made.
        await self._guarded("sweep", self._sweep.run())
        self._has_read_directory = True

    def _accepted_under_other_checks(self) -> frozenset[str]:
        checks = self.ingest.identity
        return frozenset(
            status.name
            for status in self.registry.snapshot()
            if status.source is None or status.source.checks != checks
        )

    async def reconcile(self) -> float:
        """Look once and wait for the changes; return the seconds until the next look is due."""
        with self._metrics.reconcile_seconds.time():
            wait_s = await self._look()
            await self.changes.idle()
            await self._guarded("sweep", self._sweep.run_if_requested())
        return wait_s

    def declared(self) -> tuple[Version, ...]:
        """Return the live versions and those that wait for an engine; blocks, for the start."""
        versions: list[Version] = []
        for status in self.registry.snapshot():
            if status.live is None:
                continue
            versions.append(status.live)

            # Its successor is stored already, and goes live when an engine has accepted it.
            newest = status.source_digest
            if newest is None or newest == status.live.digest:
                continue
            waiting = self.ingest.stored(status.live.adapter, newest)
            if waiting is not None:
                versions.append(waiting)
        return tuple(versions)

    async def _look(self) -> float:
        """Compare the directory with what is served; remove what is gone, begin changes."""
        async with self._looks:
            todo = await self._guarded("scan", self._compare())
            if todo is None:
                return self.directory.poll_s

            self._apply(todo)
            await self._guarded("sweep", self._sweep.run_if_requested())

            self._has_unsettled = bool(todo.unsettled)
            if todo.wait_s is None:
                return self.directory.poll_s
            return min(todo.wait_s, self.directory.poll_s)

    async def _guarded(self, step: str, work: Coroutine[Any, Any, Result]) -> Result | None:
        """Run a step that can fail because the directory or the store is unreachable.

        Return None after a failure, which is logged once; nothing is unloaded.
        """
        try:
            result = await work
        except SetupError as error:
            if error.message != self._troubles.get(step):
                self._troubles[step] = error.message
                self.events.add("scan", result=error.message)
            return None

        self._troubles.pop(step, None)
        return result

    async def _compare(self) -> Plan:
        candidates = await self._scan()
        expected = {status.name for status in self._present() if not _is_admins(status)}

        # A folder that went and came back is a new one, also if its name was an admin's or gone.
        for name in tuple(self.changes.handled):
            if name not in candidates and name not in expected:
                self.changes.forget_folder(name)

        self._settling.observe(candidates.values())
        remaining = {
            name: self._settling.remaining(candidate) for name, candidate in candidates.items()
        }
        absence = self._absence(expected - candidates.keys())
        return plan(candidates, self.changes.handled, remaining, absence)

    async def _scan(self) -> dict[str, Candidate]:
        statuses = self.registry.snapshot()
        find = partial(
            scan,
            self.directory.root,
            reserved=frozenset(self.ingest.base_names),
            roots=self.directory.allowed_roots,
            live=[status.name for status in statuses if status.live or status.kept],
            elsewhere=[status.name for status in self._present() if _is_admins(status)],
            known=dict(self.changes.handled),
        )
        return await asyncio.to_thread(find)

    def _present(self) -> list[AdapterStatus]:
        """Return the adapters that are not gone, whatever became of their newest attempt."""
        return [status for status in self.registry.snapshot() if not status.is_gone]

    def _absence(self, missing: set[str]) -> Mapping[str, float]:
        """Note which folders are missing; return the seconds until each counts as removed."""
        now = asyncio.get_running_loop().time()
        self._missing_since = {name: self._missing_since.get(name, now) for name in missing}
        return {
            name: since + REMOVAL_CONFIRM_S - now for name, since in self._missing_since.items()
        }

    def _apply(self, todo: Plan) -> None:
        # Removals first: a folder that was renamed makes room before its new name asks for it.
        for name in todo.removals:
            self.changes.take_away(name)

        for candidate in todo.unsettled:
            self._await_settling(candidate)

        for candidate in todo.changes:
            self.changes.take_in(candidate)
        self.changes.retry_postponed()

    def _await_settling(self, candidate: Candidate) -> None:
        """Show that a folder is waited for, and serve its last version meanwhile."""
        name = candidate.name
        if self.registry.live(name) is not None:
            return
        if not candidate.reasons and self.swaps.keep_former(name):
            return
        self.registry.mark(name, AdapterState.PENDING)

    def _needed(self) -> frozenset[Digest]:
        # Also those that no name means: an admin's while it is loaded, a former one until it left.
        placed = {version.digest for version in self.swaps.placed()}
        return self.registry.in_use() | placed


def _is_admins(status: AdapterStatus) -> bool:
    return isinstance(status.source, AdminSource)

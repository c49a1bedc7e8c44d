"""Makes the served adapters follow the adapter directory: look, plan, apply, again.

A watcher, a timer or an admin call wakes the loop and says only "look again"; each look compares
everything. Removals take effect at once; changes are begun, and made by `AdapterChanges`. No
folder, however broken, stops the loop, and nothing is removed for a volume that is away.

Serial: looks. Parallel: the changes that they lead to. Knows nothing of how a change is made.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from lorabay.catalog.discovery import Candidate
from lorabay.catalog.records import AdminSource, FolderSource
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.settling import Settling
from lorabay.errors import SetupError
from lorabay.reconcile.absences import Absences, DirectoryState
from lorabay.reconcile.adapter_changes import AdapterChanges
from lorabay.reconcile.ingest import Ingest
from lorabay.reconcile.known_folders import accepted
from lorabay.reconcile.plan import Plan, plan
from lorabay.reconcile.scanner import Look, Scanner
from lorabay.reconcile.store_sweep import StoreSweep
from lorabay.reconcile.swaps import Swaps
from lorabay.reconcile.unread_versions import UnreadVersions

if TYPE_CHECKING:
    from lorabay.catalog.admission import Checks
    from lorabay.catalog.registry.adapter_state import AdapterStatus
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.root_identity import RootIdentity
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import Digest, Version
    from lorabay.metrics import Metrics
    from lorabay.reconcile.events import EventLog

logger = structlog.get_logger(__name__)

SAVE_S = 2.0
"""How long the end of a server waits for each of records and events to be on disk."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Directory:
    """The adapter directory: where it is, where else links may lead, and its times in seconds."""

    root: Path
    allowed_roots: tuple[Path, ...] = ()
    settle_s: float = 2.0
    poll_s: float = 10.0
    empty_root_s: float = 0.0


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
        self._sweep = StoreSweep(self.ingest, self._needed, registry.unwritten)
        self._unread = UnreadVersions(registry.last_run)
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
        self._scanner = Scanner(directory.root, directory.allowed_roots, self.look_again)
        self._absences = Absences(directory.empty_root_s, lambda: asyncio.get_running_loop().time())
        self._looked_at: RootIdentity | None = None
        self._looks = asyncio.Lock()
        self._wake = asyncio.Event()
        self._troubles: dict[str, str] = {}
        self._has_unsettled = False
        self._has_read_directory = False
        self._shown = DirectoryState.READY

    @property
    def has_read_directory(self) -> bool:
        """True once every folder found at the start has been dealt with."""
        return self._has_read_directory

    @property
    def scan_failure(self) -> str | None:
        """Why the last look could not list the directory; None if it could."""
        return self._troubles.get("scan")

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

    def take_stock(self) -> None:
        """Go on from what the registry remembers, which another server has changed meanwhile.

        What is missing in the directory is missed from now on, not since an earlier look.
        """
        self.changes.take_stock()
        self._absences.interrupt(self._absences.state)

    async def tidy(self) -> None:
        """Sweep the store if versions have left it, also while another server makes changes."""
        await self._guarded("sweep", self._sweep.run_if_requested())

    async def stop(self) -> None:
        """Cancel changes under way, and stop waiting for versions that still drain.

        What is to be remembered is on disk then, unless the disk does not take it in time.
        """
        await self.changes.stop()
        await self._sweep.stop()
        await self._unread.stop()
        await asyncio.to_thread(self._save)

    def _save(self) -> None:
        self.registry.flush(SAVE_S)
        self.events.flush(SAVE_S)

    async def read_directory(self) -> None:
        """Reconcile until no folder is still changing; for the start, before there is an engine.

        Raises SetupError when the directory cannot be listed: at the start that is a mistake, later
        it may pass.
        """
        # Not guarded: a directory that cannot be listed ends the start.
        await self._find()
        self.swaps.distrust(self._accepted_under_other_checks())
        await self.changes.admin_sources.restore()

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
            await self._guarded("former versions", self._unread.read())
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
        look = await self._look_at_directory()
        candidates = look.candidates

        # A folder that went and came back is a new one, also if its name was an admin's or gone.
        followed = self._expected() | self.changes.handled.keys() - self.changes.being_loaded
        absence = self._absences.observe(look.root, candidates.keys(), followed)
        self._show(self._absences.state)

        self._settling.observe(candidates.values())
        handled = self.changes.handled
        remaining = {
            name: self._remaining(candidate)
            for name, candidate in candidates.items()
            # Of the others nobody asks.
            if handled.get(name) != candidate.fingerprint
        }
        if self._absences.state is DirectoryState.UNMOUNTED:
            # What lies below the volume is not what anybody put there to be served.
            candidates = {}
        return plan(candidates, handled, remaining, absence)

    async def _look_at_directory(self) -> Look:
        try:
            look = await self._find()
        except SetupError:
            is_silent = self._scanner.is_silent
            state = DirectoryState.HANGING if is_silent else DirectoryState.UNREADABLE
            self._absences.interrupt(state)
            self._looked_at = None
            self.changes.volume_changed()
            self._show(state, tell=False)
            raise
        finally:
            self._metrics.hanging.set(len(self._scanner.hanging) + self.ingest.stalled)

        if look.root != self._looked_at:
            self._looked_at = look.root
            self.changes.volume_changed()
        return look

    async def _find(self) -> Look:
        statuses = self.registry.snapshot()
        present = [status for status in statuses if not status.is_gone]
        return await self._scanner.look(
            reserved=frozenset(self.ingest.base_names),
            live={status.name for status in statuses if status.live or status.kept},
            elsewhere=[status.name for status in present if _is_admins(status)],
            # Nothing arrives in a folder that is as it was accepted, before it is dealt with too.
            known={**accepted(statuses), **self.changes.handled},
        )

    def _show(self, state: DirectoryState, *, tell: bool = True) -> None:
        """Show the state of the directory, and tell when it is another than before."""
        before, self._shown = self._shown, state
        for each in DirectoryState:
            self._metrics.directory_state.labels(each.value).set(each is state)
        if state is before:
            return

        if state is DirectoryState.READY:
            self.events.add("scan")
        elif tell:
            self.events.add("scan", result=self._what_is_missing(state))

    def _what_is_missing(self, state: DirectoryState) -> str:
        count, wait_s = len(self._absences.withheld), self.directory.empty_root_s
        until = "until it is mounted" if state is DirectoryState.UNMOUNTED else f"for {wait_s:g} s"
        return (
            f"the adapter directory is {state}: {count} folders are missing; their adapters are "
            f"served on {until}"
        )

    def _remaining(self, candidate: Candidate) -> float:
        """Return the seconds until a folder counts; one that is as it was accepted counts now."""
        status = self.registry.status(candidate.name)
        source = status.source if status is not None else None
        if isinstance(source, FolderSource) and source.fingerprint == candidate.fingerprint:
            return 0.0
        return self._settling.remaining(candidate)

    def _expected(self) -> set[str]:
        """Return the names that are served from folders of the directory, or wait for it."""
        sources = self.registry.sources()
        names = {name for name, source in sources if not isinstance(source, AdminSource)}
        # A name that an admin is loading for the first time has no source yet.
        return names - self.changes.being_loaded

    def _apply(self, todo: Plan) -> None:
        # Removals first: a folder that was renamed makes room before its new name asks for it.
        for name in todo.removals:
            was_taken = name not in self._absences.withheld
            self.changes.folders.folder_is_gone(name, was_taken=was_taken)
        if self.registry.forget_removed():
            self._sweep.request()

        # Also at the start: a volume that is not there yet held what was served last.
        if self._absences.withheld:
            for name in self._absences.withheld & self._expected():
                self.swaps.keep_former(name)

        for candidate in todo.unsettled:
            self._await_settling(candidate)

        for candidate in todo.changes:
            self.changes.folders.take_in(candidate)
        self.changes.admin_sources.retry()

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
        return self.registry.in_use() | self.swaps.placed()


def _is_admins(status: AdapterStatus) -> bool:
    return isinstance(status.source, AdminSource)

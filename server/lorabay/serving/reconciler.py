"""Makes what is served follow the adapter directory: look, plan, apply, again.

What wakes it (a watcher, a timer, an admin call) says only "look again"; each look compares
everything. Removals take effect at once. Changes of one adapter are made one after another, the
last one found wins; those of different adapters are made side by side, and none waits for another.
A new version is stored and loaded before its name flips to it; the old one is unloaded when its
last request has ended. No folder, however broken, stops the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from lorabay.catalog.discovery import Candidate, scan
from lorabay.catalog.fingerprints import ABSENT, fingerprint
from lorabay.catalog.names import AdapterName
from lorabay.catalog.registry import AdapterState
from lorabay.catalog.settling import Settling
from lorabay.catalog.versions import DIGEST_PREFIX, Digest, Version
from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable, SetupError
from lorabay.reasons import Rejected
from lorabay.serving.events import FOLDER
from lorabay.serving.ingest import Intake
from lorabay.serving.plan import Plan, plan
from lorabay.serving.sources import AdminSource, folder_key, was_checked
from lorabay.serving.swaps import GONE, Swaps
from lorabay.serving.turns import Changes

if TYPE_CHECKING:
    from lorabay.catalog.admission import Checks
    from lorabay.catalog.registry import AdapterStatus, Registry
    from lorabay.catalog.store import Store
    from lorabay.metrics import Metrics
    from lorabay.serving.events import EventLog
    from lorabay.serving.residency import Residency

logger = structlog.get_logger(__name__)

REMOVAL_CONFIRM_S = 0.25
"""How long a folder must be missing before its name goes."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Directory:
    """What is watched and how: where the adapters lie, where else links may lead, how patient to be
    (seconds).
    """

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
        self._registry = registry
        self._events = events
        self._metrics = metrics
        self._intake = Intake(store, checks, (directory.root, *directory.allowed_roots))
        self._settling = Settling(directory.settle_s)
        self._judged: dict[str, str] = registry.withdrawn()
        self._missing: dict[str, float] = {}
        self._postponed: set[str] = set()
        self._swaps = Swaps(registry, events, metrics)
        self._changes = Changes()
        self._wake = asyncio.Event()
        self._looks = asyncio.Lock()
        self._troubles: dict[str, str] = {}
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
        self._intake.limit_rank(max_rank)

    @property
    def base_names(self) -> tuple[str, ...]:
        """Names that no adapter may have."""
        return self._intake.base_names

    def look_again(self) -> None:
        """Wake the loop; cheap, and harmless at any time."""
        self._wake.set()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            self._wake.clear()
            try:
                with self._metrics.reconcile_seconds.time():
                    wait_s = await self._look()
            except Exception:  # whatever it is, folders must be followed on
                wait_s = self._directory.poll_s
                with contextlib.suppress(
                    Exception
                ):  # a log that cannot be written is no reason to stop either
                    logger.exception("bug", root=str(self._directory.root))
            # Not wait_for, which in Python 3.11 forgets to be cancelled when it is woken at the
            # same moment.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def stop(self) -> None:
        """Give up changes under way, and let go of what still drains."""
        await self._changes.stop()
        await self._swaps.stop()

    async def settle(self) -> None:
        """Reconcile until nothing found is still changing; for the start, before there is an
        engine.

        Raises SetupError when the directory cannot be listed: at the start that is a mistake, later
        it may pass.
        """
        await self._scan()
        self._distrust_other_checks()
        await self._restore_admin_sources()
        clock = asyncio.get_running_loop().time
        deadline = clock() + 2 * self._directory.settle_s
        wait_s = await self.reconcile()
        while self._unsettled and clock() < deadline:
            await asyncio.sleep(wait_s)
            wait_s = await self.reconcile()
        await self._guarded("clear", self._clear())  # also what a killed server left half-made
        self._settled = True

    def _distrust_other_checks(self) -> None:
        names = (status.name for status in self._registry.snapshot())
        identity = self._intake.identity
        self._swaps.distrust(
            frozenset(
                name for name in names if not was_checked(self._registry.source_of(name), identity)
            )
        )

    async def _restore_admin_sources(self) -> None:
        """What an admin call brought is in no folder; the store still has it after a restart."""
        for status in self._registry.snapshot():
            source = AdminSource.read(self._registry.source_of(status.name))
            if source is None:
                continue
            if source.passed_over is not None:
                self._judged[status.name] = source.passed_over
            self._postponed.add(status.name)
            await self._restore(status.name)

    async def _restore(self, name: str) -> None:
        """Serve what an admin call brought; it stays postponed while the engine or the store is to
        blame.
        """
        source = (
            AdminSource.read(self._registry.source_of(name)) if name in self._postponed else None
        )
        # On another base the key differs, and what was stored has to be checked again.
        if source is None or await self._take_in(
            source.path, AdapterName(name), source.key(self._intake.identity)
        ):
            self._postponed.discard(name)

    async def reconcile(self) -> float:
        """Look once, and wait for what it leads to; gives the seconds until the next look is
        due.
        """
        with self._metrics.reconcile_seconds.time():
            wait_s = await self._look()
            await self._changes.idle()
            await self._guarded("clear", self._clear_if_needed())
        return wait_s

    async def _look(self) -> float:
        """Compare the directory with what is served, remove what is gone, begin to change what
        differs.
        """
        async with self._looks:
            todo = await self._guarded("scan", self._compare())
            if todo is None:
                return self._directory.poll_s
            self._apply(todo)
            await self._guarded("clear", self._clear_if_needed())
            self._unsettled = bool(todo.unsettled)
            return (
                self._directory.poll_s
                if todo.wait_s is None
                else min(todo.wait_s, self._directory.poll_s)
            )

    async def _guarded(self, step: str, work: Coroutine[Any, Any, Result]) -> Result | None:
        """Do what may find the directory away (an unmounted volume), or the store: no reason to
        remove what is served.

        A trouble that stays is noted once.
        """
        try:
            result = await work
        except SetupError as error:
            if error.message != self._troubles.get(step):
                self._troubles[step] = error.message
                self._events.add("scan", result=error.message)
            return None
        self._troubles.pop(step, None)
        return result

    async def _compare(self) -> Plan:
        return self._plan(await self._scan())

    async def _scan(self) -> dict[str, Candidate]:
        find = partial(
            scan,
            self._directory.root,
            reserved=frozenset(self._intake.base_names),
            roots=self._directory.allowed_roots,
            live=[
                status.name for status in self._registry.snapshot() if status.live or status.kept
            ],
            elsewhere=self._admin_names(),
            known=dict(self._judged),
        )
        return await asyncio.to_thread(find)

    def _plan(self, found: Mapping[str, Candidate]) -> Plan:
        served = self._folder_names()
        now = asyncio.get_running_loop().time()
        self._missing = {name: self._missing.get(name, now) for name in served if name not in found}
        # A folder that went and came back is a new one, also where no name was served for it.
        gone = [name for name in self._judged if name not in found and name not in served]
        for name in gone:
            del self._judged[name]
            self._registry.forget_withdrawal(name)
            self._changes.cancel(name)
        self._settling.forget(gone)
        return plan(found, served, self._judged, self._settling.remaining, self._absence)

    def _absence(self, name: str) -> float:
        """Seconds until a missing folder counts as removed.

        Replacing a folder by two renames (`mv finance old; mv new finance`) leaves a moment without
        one.
        """
        return self._missing[name] + REMOVAL_CONFIRM_S - asyncio.get_running_loop().time()

    def _folder_names(self) -> set[str]:
        return {
            status.name for status in self._registry.snapshot() if status.state not in GONE
        } - self._admin_names()

    def _admin_names(self) -> set[str]:
        return {
            status.name
            for status in self._registry.snapshot()
            if status.state not in GONE
            and AdminSource.read(self._registry.source_of(status.name)) is not None
        }

    def _apply(self, todo: Plan) -> None:
        for name in todo.removals:
            self._remove(name, who=FOLDER)
            self._judged.pop(name, None)
        self._settling.forget(todo.removals)
        for candidate in todo.unsettled:
            name, is_sound = candidate.name, not candidate.reasons
            if self._registry.live(name) is None and not (
                is_sound and self._swaps.keep_former(name)
            ):
                self._registry.mark(name, AdapterState.PENDING)
        self._postponed.difference_update(candidate.name for candidate in todo.intake)
        for name in self._postponed:
            self._changes.start(name, partial(self._restore, name))
        for candidate in todo.intake:
            self._judged[candidate.name] = candidate.fingerprint
            self._changes.start(candidate.name, partial(self._change, candidate))

    def _remove(self, name: str, *, who: str, withdrawn: str | None = None) -> None:
        self._changes.cancel(name)
        self._swaps.remove(name, who=who, withdrawn=withdrawn)
        self._swaps.left_over = True

    @contextlib.asynccontextmanager
    async def _clearing_afterwards(self) -> AsyncIterator[None]:
        """What was stored on the way to a failure is collected soon."""
        try:
            yield
        finally:
            self._swaps.left_over = True
            self.look_again()

    async def _clear_if_needed(self) -> None:
        if self._swaps.left_over:
            await self._clear()

    async def _clear(self) -> None:
        self._swaps.left_over = False
        done = False
        try:
            done = await self._intake.clear(self._needed)
        finally:
            self._swaps.left_over = self._swaps.left_over or not done

    def _needed(self) -> frozenset[Digest]:
        return self._registry.in_use() | {version.digest for version in self._swaps.held()}

    async def _change(self, candidate: Candidate) -> None:
        """Make a folder's adapter what the folder holds; a folder that is not to blame for a
        failure is tried again.
        """
        name = AdapterName(candidate.name)
        if candidate.reasons:
            is_name_sound = all(reason.code == "unreadable" for reason in candidate.reasons)
            self._swaps.refuse(
                name,
                AdapterState.REJECTED,
                candidate.reasons,
                who=FOLDER,
                is_name_sound=is_name_sound,
            )
            return
        key = folder_key(candidate.fingerprint, self._intake.identity)
        if await self._take_in(candidate.path, name, key, looks=candidate.fingerprint):
            self._swaps.left_over = True
            self.look_again()  # clears what the change has left in the store
        elif self._judged.get(name) == candidate.fingerprint:
            del self._judged[name]

    async def _take_in(
        self, path: Path, name: AdapterName, key: str, *, looks: str | None = None
    ) -> bool:
        """Serve what `path` holds; False when the same folder should be tried again later."""
        result = await self._intake.read(
            path, name, looks=looks, known=self._registry.remembered(name, key)
        )
        if isinstance(result, Rejected):
            self._swaps.refuse(name, AdapterState.REJECTED, result.reasons, who=FOLDER)
            return not result.transient
        try:
            await self._swaps.offer(result, key, who=FOLDER)
        except AdapterRejected:
            return True
        except EngineUnavailable:
            return False
        return True

    def declared(self) -> tuple[Version, ...]:
        """Give what is live and what waits for an engine to become so; blocks, for the start."""
        versions = [
            version for name in self._registry.names() if (version := self._registry.live(name))
        ]
        for live in tuple(versions):
            newest = self._registry.source_digest(live.adapter)
            if newest is not None and newest != live.digest:
                versions += filter(None, [self._intake.stored(live.adapter, newest)])
        return tuple(versions)

    async def ingest(self, path: Path, name: AdapterName, *, replace: bool, who: str) -> Version:
        """Serve the adapter in `path`, which an admin names, from now on and after a restart.

        Raises AdapterRejected with every reason, or AdapterConflict when the name is served with
        other weights and `replace` is false.
        """
        async with self._changes.turn(name), self._clearing_afterwards():
            is_own = path == self._directory.root.resolve() / name
            own = (await self._scan()).get(name) if is_own else None
            result = await self._intake.read(path, name)
            if isinstance(result, Rejected):
                raise AdapterRejected(name, tuple(reason.text for reason in result.reasons))
            live = self._registry.live(name)
            if live == result:
                return result
            if live is not None and not replace:
                raise AdapterConflict(f"adapter {name!r} is already served with other weights")
            if own is not None:
                # The name's own folder, which the next look would have found: it lives and dies by
                # that folder.
                await self._swaps.replace(
                    result, folder_key(own.fingerprint, self._intake.identity), who=who
                )
                self._judged[name] = own.fingerprint
            else:
                source = AdminSource(path, self._judged.get(name))
                await self._swaps.replace(result, source.key(self._intake.identity), who=who)
            return result

    async def roll_back(self, name: str, digest_prefix: str | None, *, who: str) -> None:
        """Flip back to a kept version until the folder changes; raises AdapterConflict when there
        is none.
        """
        async with self._changes.turn(name):
            await self._swaps.roll_back(
                self._registry.rollback_target(name, digest_prefix), who=who
            )

    async def withdraw(self, name: str, *, who: str) -> None:
        """Take a name away although its folder stays; the folder counts again once it changes."""
        now = await asyncio.to_thread(fingerprint, self._directory.root / name)
        if is_there := now != ABSENT:
            self._judged[name] = now
        self._remove(name, who=who, withdrawn=now if is_there else None)

    async def delete(self, digest: Digest, *, who: str) -> None:
        """Drop a kept version from its adapters, the engine and the store.

        Raises AdapterConflict while it is live, in use, or what a folder holds.
        """
        async with self._changes.turn(*self._holders(digest)):
            self._registry.forget(digest)
            await self._swaps.forget(frozenset(v for v in self._swaps.held() if v.digest == digest))
            await self._clear()
            self._events.add("deleted", who=who, version=digest[:DIGEST_PREFIX])

    def _holders(self, digest: Digest) -> list[str]:
        def holds(status: AdapterStatus) -> bool:
            return any(version.digest == digest for version in status.kept)

        return [status.name for status in self._registry.snapshot() if holds(status)]

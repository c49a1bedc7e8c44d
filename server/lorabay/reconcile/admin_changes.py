"""Changes that an admin asks for: load, roll back, withdraw, delete.

Each change waits for its adapter's turn, except a withdrawal, which takes effect at once. Knows
nothing of HTTP, or of who may ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.catalog.fingerprints import ABSENT, UNREADABLE, fingerprint
from lorabay.catalog.records import AdminSource, FolderSource
from lorabay.catalog.versions import DIGEST_PREFIX
from lorabay.errors import AdapterConflict, AdapterRejected, SetupError, StorageUnavailable
from lorabay.files.daemon_threads import ask
from lorabay.files.real_paths import both_forms
from lorabay.reasons import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.versions import Digest, Version
    from lorabay.reconcile.admin_loads import AdminLoad, AdminLoads
    from lorabay.reconcile.events import Actor, EventLog
    from lorabay.reconcile.ingest import Ingest
    from lorabay.reconcile.known_folders import KnownFolders
    from lorabay.reconcile.removals import Removals
    from lorabay.reconcile.store_sweep import StoreSweep
    from lorabay.reconcile.swaps import Swaps
    from lorabay.reconcile.turns import Turns


class AdminChanges:
    """The changes of one registry's adapters that admins ask for.

    `root` holds the adapters' own folders. `request_sweep` is called when a change leaves something
    to sweep out of the store.
    """

    def __init__(
        self,
        root: Path,
        registry: Registry,
        ingest: Ingest,
        swaps: Swaps,
        turns: Turns,
        known: KnownFolders,
        loads: AdminLoads,
        removals: Removals,
        sweep: StoreSweep,
        events: EventLog,
        *,
        request_sweep: Callable[[], None],
    ) -> None:
        self._root = root
        self._registry = registry
        self._ingest = ingest
        self._swaps = swaps
        self._turns = turns
        self._known = known
        self._loads = loads
        self._removals = removals
        self._sweep = sweep
        self._events = events
        self._request_sweep = request_sweep

    async def load(self, path: Path, name: AdapterName, *, replace: bool, who: Actor) -> Version:
        """Serve the adapter in `path`, which an admin names, from now on and after a restart.

        Raises AdapterRejected with every reason, AdapterConflict when the name is served with other
        weights and `replace` is false, or when it is unloaded meanwhile, and StorageUnavailable or
        SetupError when a disk failed.
        """
        try:
            with self._loads.begin(name) as load:
                async with self._turns.turn(name):
                    return await self._load(path, load, replace=replace, who=who)
        finally:
            # A version that was stored on the way to a failure is swept out soon.
            self._request_sweep()

    async def _load(self, path: Path, load: AdminLoad, *, replace: bool, who: Actor) -> Version:
        name = load.name
        # Before the read: a folder that changes meanwhile then differs from what was handled.
        is_own = path == await ask(self._root.resolve) / name
        own_fingerprint = await self._fingerprint(path) if is_own else None

        version = await self._read(path, name)
        load.check()
        live = self._registry.live(name)
        if live == version:
            return version
        if live is not None and not replace:
            raise AdapterConflict(f"adapter {name!r} is already served with other weights")

        if own_fingerprint is None:
            source = self._admin_source(path, name)
            await self._swaps.replace(version, source, who=who, is_wanted=load.is_wanted)
            return version

        # The name's own folder, which the next look would have found: removing it later removes
        # the adapter, as for any other folder.
        own = FolderSource(fingerprint=own_fingerprint, checks=self._ingest.identity)
        await self._swaps.replace(version, own, who=who, is_wanted=load.is_wanted)
        self._known.note_handled(name, own_fingerprint)
        return version

    async def _read(self, path: Path, name: AdapterName) -> Version:
        """Return the version in a folder; raises AdapterRejected or StorageUnavailable."""
        result = await self._ingest.read(path, name)
        if not isinstance(result, Rejected):
            return result
        if result.is_disks_fault:
            raise StorageUnavailable(f"adapter {name!r} cannot be loaded now: {result.line}")
        raise AdapterRejected(name, tuple(reason.text for reason in result.reasons))

    def _admin_source(self, path: Path, name: AdapterName) -> AdminSource:
        """Return a folder that takes the place of the name's own, as it is remembered."""
        passed_over = self._known.handled.get(name)
        return AdminSource(
            path=path,
            passed_over=passed_over,
            passed_over_digest=self._known.version_in(name, passed_over),
            checks=self._ingest.identity,
        )

    async def _fingerprint(self, folder: Path) -> str:
        """Return a folder's fingerprint; raises SetupError if its file system does not answer."""
        return await ask(fingerprint, folder, both_forms(self._ingest.roots))

    async def roll_back(
        self,
        name: str,
        digest_prefix: str | None,
        *,
        who: Actor,
        seen: str | None = None,
        event: str = "rolled back",
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Flip to a kept version until the adapter's source changes.

        `seen` is the version that was live when it was decided, `event` what the log calls it, and
        `is_wanted` is asked right before the flip. Raises AdapterConflict if another one is live,
        if there is no such version, if the adapter changes meanwhile or if the flip is not wanted
        any more, AdapterRejected or EngineUnavailable if the engine does not take it.
        """
        async with self._turns.turn(name):
            target = self._registry.rollback_target(name, digest_prefix)
            before = self._registry.live(name)
            if seen is not None and before is not None and before.id != seen:
                raise AdapterConflict(
                    f"adapter {name!r} was changed meanwhile: {before.id} is live now, not {seen}; "
                    "look at it again"
                )
            await self._swaps.load_beside(target)

            # A removal does not wait for its turn, nor does a fall-back after the engine's death.
            status = self._registry.status(name)
            is_same = status is not None and status.live == before and target in status.kept
            if not is_same or not is_wanted():
                self._swaps.retire(target)
                raise AdapterConflict(f"adapter {name!r} was changed meanwhile; look at it again")

            self._registry.roll_back(target)
            self._events.add(event, who=who, adapter=name, version=target.id)
            self._swaps.retire_replaced(before, target)

    async def withdraw(self, name: str, *, who: Actor) -> None:
        """Take a name away although its folder stays, until what that holds changes."""
        try:
            present = await self._fingerprint(self._root / name)
        except SetupError:
            present = UNREADABLE

        # Out of sight, with its volume or for a moment: what it held is still not wanted.
        if present == ABSENT or present.startswith(UNREADABLE):
            present = self._known.last_seen(name)
        if present == ABSENT:
            self._removals.remove(name, who=who)
            return

        # Handled, so that the next look does not take the same folder in again.
        self._known.note_handled(name, present)
        digest = self._known.version_in(name, present)
        self._removals.remove(name, who=who, withdrawn=present, withdrawn_digest=digest)

    async def delete(self, digest: Digest, *, who: Actor) -> None:
        """Drop a kept version from its adapters, the engine and the store.

        Raises AdapterConflict while it is live, in use, or held by a source, and SetupError when
        the store is away.
        """
        keepers = {version.adapter for version in self._kept_as(digest)}
        # Not while a keeper changes: a flip to this version would find it forgotten.
        async with self._turns.turn(*keepers):
            # First, so that a store that is away leaves the adapters as they are.
            await self._sweep.run()
            doomed = self._kept_as(digest)
            self._registry.forget(digest)

            # Out of the engine before out of the store: the engine reads these files.
            await self._swaps.unload(doomed)
            await self._sweep.run()
            self._events.add("deleted", who=who, version=digest[:DIGEST_PREFIX])

    def _kept_as(self, digest: Digest) -> frozenset[Version]:
        """Return what the adapters that keep a version know it as."""
        versions: set[Version] = set()
        for status in self._registry.snapshot():
            versions.update(version for version in status.kept if version.digest == digest)
        return frozenset(versions)

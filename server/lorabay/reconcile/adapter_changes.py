"""Changes one adapter: takes its folder in, or does what an admin asks for.

Serial: changes of one adapter, each of which takes its own turn. Parallel: changes of different
adapters. Owns which folder each adapter was last changed for (`handled`), which admin's adapters
still wait for the engine or the store, and which an admin is loading. What an admin does not want
is known by its content: a folder that only looks new is still unwanted. Knows nothing of when to
look at the directory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lorabay.catalog.fingerprints import (
    ABSENT,
    UNREADABLE,
    differ_in_inodes_only,
    fingerprint,
)
from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import AdminSource, FolderSource
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.versions import DIGEST_PREFIX
from lorabay.errors import (
    AdapterConflict,
    AdapterRejected,
    EngineUnavailable,
    SetupError,
    StorageUnavailable,
)
from lorabay.files.daemon_threads import ask
from lorabay.files.real_paths import both_forms
from lorabay.reasons import Rejected
from lorabay.reconcile.events import FOLDER
from lorabay.reconcile.turns import Turns

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.catalog.discovery import Candidate
    from lorabay.catalog.records import Source
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.versions import Digest, Version
    from lorabay.reconcile.events import Actor, EventLog
    from lorabay.reconcile.ingest import Ingest
    from lorabay.reconcile.store_sweep import StoreSweep
    from lorabay.reconcile.swaps import Swaps


class AdapterChanges:
    """The changes of one registry's adapters, from the directory `root` and from admins.

    `look_again` is called when a change leaves something to sweep out of the store.
    """

    def __init__(
        self,
        root: Path,
        registry: Registry,
        ingest: Ingest,
        swaps: Swaps,
        sweep: StoreSweep,
        events: EventLog,
        *,
        look_again: Callable[[], None],
    ) -> None:
        self._root = root
        self._registry = registry
        self._ingest = ingest
        self._swaps = swaps
        self._sweep = sweep
        self._events = events
        self._look_again = look_again
        self._turns = Turns()
        self._handled: dict[str, str] = registry.unwanted.withdrawn()
        self._recognised: set[str] = set()
        """Names whose folders were dealt with since their volume was mounted."""
        self._postponed: set[str] = set()
        self._loads: set[_AdminLoad] = set()

    @property
    def handled(self) -> Mapping[str, str]:
        """Fingerprint of the folder that each name was last changed for, or that was withdrawn."""
        return self._handled

    @property
    def being_loaded(self) -> frozenset[str]:
        """The names that an admin is loading a version for."""
        return frozenset(load.name for load in self._loads)

    def volume_changed(self) -> None:
        """Note that the directory lies on another volume, or was away.

        What the file system says of a folder need not be what it said before.
        """
        self._recognised.clear()

    def take_in(self, candidate: Candidate) -> None:
        """Begin to serve what a folder holds now; a change that still waits is overtaken."""
        self._postponed.discard(candidate.name)
        self._handled[candidate.name] = candidate.fingerprint
        self._turns.start(candidate.name, partial(self._take_in_folder, candidate))

    async def _take_in_folder(self, candidate: Candidate) -> None:
        name = AdapterName(candidate.name)
        if candidate.reasons:
            # Every other reason is against the name or the link: nothing may be served under it.
            only_unreadable = all(reason.code == "unreadable" for reason in candidate.reasons)
            self._swaps.refuse(
                name,
                AdapterState.REJECTED,
                candidate.reasons,
                who=FOLDER,
                serve_former=only_unreadable,
            )
            self._go_on_with_admins(name)
            return

        if await self._serve_folder(name, candidate):
            self._recognised.add(name)
            self._request_sweep()
        elif self._handled.get(name) == candidate.fingerprint:
            # The folder is not to blame: the next look takes it in again.
            del self._handled[name]

    async def _serve_folder(self, name: AdapterName, candidate: Candidate) -> bool:
        """Serve what the name's own folder holds, unless an admin does not want that.

        Return False if the same folder should be tried again later.
        """
        if self._registry.unwanted.has(name, candidate.fingerprint):
            return self._pass_over(name, candidate)

        source = await self._described(name, candidate)
        known = self._registry.remembered(name, self._recognisable(name, source))
        result = await self._ingest.read(
            candidate.path, name, found_as=candidate.fingerprint, known=known
        )
        if isinstance(result, Rejected):
            return self._refuse(name, result)

        if self._registry.unwanted.has(name, candidate.fingerprint, result.digest):
            return self._pass_over(name, candidate)
        return await self._offer(result, source)

    def _pass_over(self, name: AdapterName, candidate: Candidate) -> bool:
        """Leave a folder alone that an admin unloaded, or loaded another one over."""
        self._registry.unwanted.note_fingerprint(name, candidate.fingerprint)
        self._go_on_with_admins(name)
        return True

    def _go_on_with_admins(self, name: str) -> None:
        """Serve on what an admin loaded, if anything, beside a folder that does not count."""
        status = self._registry.status(name)
        if status is not None and isinstance(status.source, AdminSource):
            self._postponed.add(name)

    async def _described(self, name: AdapterName, candidate: Candidate) -> FolderSource:
        """Return how the folder will be remembered."""
        before = self._source(name)
        is_unchanged = before is not None and before.fingerprint == candidate.fingerprint
        sketch = before.sketch if before is not None and is_unchanged else None
        if sketch is None:
            sketch = await self._ingest.sketch(candidate.path)

        checks = self._ingest.identity
        return FolderSource(fingerprint=candidate.fingerprint, checks=checks, sketch=sketch)

    def _recognisable(self, name: AdapterName, source: FolderSource) -> FolderSource:
        """Return the folder as it may be compared with the one that is remembered.

        A change that this server has seen happen is a change, whatever the sketches say.
        """
        before = self._source(name)
        if name not in self._recognised or before is None:
            return source
        if differ_in_inodes_only(before.fingerprint, source.fingerprint):
            return source
        return source.model_copy(update={"sketch": None})

    def _source(self, name: str) -> FolderSource | None:
        """Return the folder that a name was served from last, if it was its own."""
        status = self._registry.status(name)
        source = status.source if status is not None else None
        return source if isinstance(source, FolderSource) else None

    async def _serve_admins(self, name: AdapterName, source: AdminSource) -> bool:
        """Serve the folder that an admin named; return False if it should be tried again later."""
        known = self._registry.remembered(name, source)
        result = await self._ingest.read(source.path, name, known=known)
        if isinstance(result, Rejected):
            return self._refuse(name, result)
        return await self._offer(result, source)

    def _refuse(self, name: str, result: Rejected) -> bool:
        self._swaps.refuse(name, AdapterState.REJECTED, result.reasons, who=FOLDER)
        return not result.transient

    async def _offer(self, version: Version, source: Source) -> bool:
        # No `await` until the registry knows the version: a sweep in between would remove it.
        try:
            await self._swaps.offer(version, source, who=FOLDER)
        except AdapterRejected:
            return True
        except EngineUnavailable:
            return False
        return True

    async def restore_admin_sources(self) -> None:
        """Serve again the adapters that admins named in earlier runs; the store still has them."""
        for status in self._registry.snapshot():
            if not isinstance(status.source, AdminSource):
                continue
            if status.source.passed_over is not None:
                self._handled[status.name] = status.source.passed_over
            self._postponed.add(status.name)
            await self._restore(status.name)

    def retry_postponed(self) -> None:
        """Begin to restore the admins' adapters that could not be restored yet."""
        for name in self._postponed:
            self._turns.start(name, partial(self._restore, name))

    async def _restore(self, name: str) -> None:
        """Serve an admin's adapter; it stays postponed if the engine or the store is to blame."""
        status = self._registry.status(name)
        source = status.source if status is not None else None
        if name not in self._postponed or not isinstance(source, AdminSource):
            self._postponed.discard(name)
            return

        # Under other checks the source is another one, and the folder has to be read again.
        source = source.model_copy(update={"checks": self._ingest.identity})
        if await self._serve_admins(AdapterName(name), source):
            self._postponed.discard(name)

    def folder_is_gone(self, name: str, *, was_taken: bool = True) -> None:
        """Forget a folder that is gone, and take the name away if it was served from it.

        `was_taken` says that somebody took away this very folder, and not that all of a volume is
        gone: then it comes back as new, also if an admin did not want what was in it.
        """
        self._handled.pop(name, None)
        self._recognised.discard(name)

        status = self._registry.status(name)
        if status is not None and not status.is_gone and not _is_admins(status.source):
            self._remove(name, who=FOLDER)
            return
        self._turns.cancel(name)
        if was_taken:
            self._registry.unwanted.forget(name)

    def _remove(
        self,
        name: str,
        *,
        who: Actor,
        withdrawn: str | None = None,
        withdrawn_digest: Digest | None = None,
    ) -> None:
        self._turns.cancel(name)
        for load in self._loads:
            load.is_overtaken |= load.name == name
        self._swaps.remove(name, who=who, withdrawn=withdrawn, withdrawn_digest=withdrawn_digest)
        self._sweep.request()

    async def load(self, path: Path, name: AdapterName, *, replace: bool, who: Actor) -> Version:
        """Serve the adapter in `path`, which an admin names, from now on and after a restart.

        Raises AdapterRejected with every reason, AdapterConflict when the name is served with other
        weights and `replace` is false, or when it is unloaded meanwhile, and StorageUnavailable or
        SetupError when a disk failed.
        """
        load = _AdminLoad(name)
        self._loads.add(load)
        try:
            async with self._turns.turn(name):
                return await self._load(path, load, replace=replace, who=who)
        finally:
            self._loads.remove(load)
            # A version that was stored on the way to a failure is swept out soon.
            self._request_sweep()

    async def _load(self, path: Path, load: _AdminLoad, *, replace: bool, who: Actor) -> Version:
        name = load.name
        # Before the read: a folder that changes meanwhile then differs from what was handled.
        own_fingerprint = None
        if path == await ask(self._root.resolve) / name:
            own_fingerprint = await self._fingerprint(path)

        version = await self._ingest.read(path, name)
        if isinstance(version, Rejected):
            if version.is_disks_fault:
                raise StorageUnavailable(f"adapter {name!r} cannot be loaded now: {version.line}")
            raise AdapterRejected(name, tuple(reason.text for reason in version.reasons))
        load.check()

        live = self._registry.live(name)
        if live == version:
            return version
        if live is not None and not replace:
            raise AdapterConflict(f"adapter {name!r} is already served with other weights")

        checks = self._ingest.identity
        if own_fingerprint is None:
            passed_over = self._handled.get(name)
            source = AdminSource(
                path=path,
                passed_over=passed_over,
                passed_over_digest=self._digest_of(name, passed_over),
                checks=checks,
            )
            await self._swaps.replace(version, source, who=who, is_wanted=load.is_wanted)
            return version

        # The name's own folder, which the next look would have found: removing it later removes
        # the adapter, as for any other folder.
        own = FolderSource(fingerprint=own_fingerprint, checks=checks)
        await self._swaps.replace(version, own, who=who, is_wanted=load.is_wanted)
        self._handled[name] = own_fingerprint
        return version

    def _digest_of(self, name: str, fingerprint: str | None) -> Digest | None:
        """Return the version in the name's own folder, if it is known for that fingerprint."""
        status = self._registry.status(name)
        if status is None or fingerprint is None:
            return None
        source = status.source
        if isinstance(source, FolderSource) and source.fingerprint == fingerprint:
            return status.source_digest
        if isinstance(source, AdminSource) and source.passed_over == fingerprint:
            return source.passed_over_digest
        return None

    async def _fingerprint(self, folder: Path) -> str:
        """Return a folder's fingerprint; raises SetupError if its file system does not answer."""
        return await ask(fingerprint, folder, both_forms(self._ingest.roots))

    async def roll_back(self, name: str, digest_prefix: str | None, *, who: Actor) -> None:
        """Flip to a kept version until the adapter's source changes.

        Raises AdapterConflict if there is none or if the adapter changes meanwhile,
        AdapterRejected or EngineUnavailable if the engine does not take it.
        """
        async with self._turns.turn(name):
            target = self._registry.rollback_target(name, digest_prefix)
            before = self._registry.live(name)
            await self._swaps.load_beside(target)

            # A removal does not wait for its turn, nor does a fall-back after the engine's death.
            status = self._registry.status(name)
            if status is None or status.live != before or target not in status.kept:
                self._swaps.retire(target)
                raise AdapterConflict(f"adapter {name!r} was changed meanwhile")

            self._registry.roll_back(target)
            self._events.add("rolled back", who=who, adapter=name, version=target.id)
            self._swaps.retire_replaced(before, target)

    async def withdraw(self, name: str, *, who: Actor) -> None:
        """Take a name away although its folder stays, until what that holds changes."""
        try:
            present = await self._fingerprint(self._root / name)
        except SetupError:
            present = UNREADABLE

        # Out of sight, with its volume or for a moment: what it held is still not wanted.
        if present == ABSENT or present.startswith(UNREADABLE):
            source = self._source(name)
            seen = self._handled.get(name, ABSENT)
            present = seen if source is None else source.fingerprint
        if present == ABSENT:
            self._remove(name, who=who)
            return

        # Handled, so that the next look does not take the same folder in again.
        self._handled[name] = present
        digest = self._digest_of(name, present)
        self._remove(name, who=who, withdrawn=present, withdrawn_digest=digest)

    async def delete(self, digest: Digest, *, who: Actor) -> None:
        """Drop a kept version from its adapters, the engine and the store.

        Raises AdapterConflict while it is live, in use, or held by a source, and SetupError when
        the store is away.
        """
        # Not while a keeper changes: a flip to this version would find it forgotten.
        async with self._turns.turn(*self._keepers(digest)):
            # First, so that a store that is away leaves the adapters as they are.
            await self._sweep.run()
            doomed = self._versions(digest)
            self._registry.forget(digest)

            # Out of the engine before out of the store: the engine reads these files.
            await self._swaps.unload(doomed)
            await self._sweep.run()
            self._events.add("deleted", who=who, version=digest[:DIGEST_PREFIX])

    def _versions(self, digest: Digest) -> frozenset[Version]:
        """Return what the adapters that keep a version know it as."""
        kept = (version for status in self._registry.snapshot() for version in status.kept)
        return frozenset(version for version in kept if version.digest == digest)

    def _keepers(self, digest: Digest) -> list[str]:
        return [
            status.name
            for status in self._registry.snapshot()
            if any(version.digest == digest for version in status.kept)
        ]

    async def idle(self) -> None:
        """Return when every change that has been begun by now has ended."""
        await self._turns.idle()

    async def stop(self) -> None:
        """Cancel changes under way, and stop waiting for versions that still drain."""
        await self._turns.stop()
        await self._swaps.stop()

    def _request_sweep(self) -> None:
        self._sweep.request()
        self._look_again()


def _is_admins(source: Source | None) -> bool:
    return isinstance(source, AdminSource)


@dataclass(eq=False, slots=True)
class _AdminLoad:
    """One load that an admin waits for; an unload of the same name overtakes it."""

    name: AdapterName
    is_overtaken: bool = False

    def is_wanted(self) -> bool:
        return not self.is_overtaken

    def check(self) -> None:
        """Raise AdapterConflict if the name was unloaded since the load was asked for."""
        if self.is_overtaken:
            raise AdapterConflict(f"adapter {self.name!r} was unloaded meanwhile")

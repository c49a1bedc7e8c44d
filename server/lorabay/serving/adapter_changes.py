"""Changes one adapter: takes its folder in, or does what an admin asks for.

Serial: changes of one adapter, each of which takes its own turn. Parallel: changes of different
adapters. Owns which folder each adapter was last changed for (`handled`), and which admin's
adapters still wait for the engine or the store. Knows nothing of when to look at the directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from lorabay.catalog.fingerprints import ABSENT, fingerprint
from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import AdminSource, FolderSource
from lorabay.catalog.registry import AdapterState
from lorabay.catalog.versions import DIGEST_PREFIX
from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable
from lorabay.reasons import Rejected
from lorabay.serving.events import FOLDER
from lorabay.serving.turns import Turns

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.catalog.discovery import Candidate
    from lorabay.catalog.records import Source
    from lorabay.catalog.registry import Registry
    from lorabay.catalog.versions import Digest, Version
    from lorabay.serving.events import EventLog
    from lorabay.serving.ingest import Ingest
    from lorabay.serving.store_sweep import StoreSweep
    from lorabay.serving.swaps import Swaps


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
        self._handled: dict[str, str] = registry.withdrawn()
        self._postponed: set[str] = set()

    @property
    def handled(self) -> Mapping[str, str]:
        """Fingerprint of the folder that each name was last changed for, or that was withdrawn."""
        return self._handled

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
            return

        source = FolderSource(fingerprint=candidate.fingerprint, checks=self._ingest.identity)
        if await self._serve(candidate.path, name, source, found_as=candidate.fingerprint):
            self._request_sweep()
        elif self._handled.get(name) == candidate.fingerprint:
            # The folder is not to blame: the next look takes it in again.
            del self._handled[name]

    async def _serve(
        self, path: Path, name: AdapterName, source: Source, *, found_as: str | None = None
    ) -> bool:
        """Serve what `path` holds; return False if the same folder should be tried again later."""
        known = self._registry.remembered(name, source)
        result = await self._ingest.read(path, name, found_as=found_as, known=known)
        if isinstance(result, Rejected):
            self._swaps.refuse(name, AdapterState.REJECTED, result.reasons, who=FOLDER)
            return not result.transient

        # No `await` until the registry knows the version: a sweep in between would remove it.
        try:
            await self._swaps.offer(result, source, who=FOLDER)
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
        if await self._serve(source.path, AdapterName(name), source):
            self._postponed.discard(name)

    def take_away(self, name: str) -> None:
        """Take a name away because its folder is gone."""
        self._remove(name, who=FOLDER)
        self._handled.pop(name, None)

    def forget_folder(self, name: str) -> None:
        """Forget a folder that is gone and that no name is served from: it may come back as new."""
        del self._handled[name]
        self._registry.forget_withdrawal(name)
        self._turns.cancel(name)

    def _remove(self, name: str, *, who: str, withdrawn: str | None = None) -> None:
        self._turns.cancel(name)
        self._swaps.remove(name, who=who, withdrawn=withdrawn)
        self._sweep.request()

    async def load(self, path: Path, name: AdapterName, *, replace: bool, who: str) -> Version:
        """Serve the adapter in `path`, which an admin names, from now on and after a restart.

        Raises AdapterRejected with every reason, or AdapterConflict when the name is served with
        other weights and `replace` is false.
        """
        async with self._turns.turn(name):
            try:
                return await self._load(path, name, replace=replace, who=who)
            finally:
                # A version that was stored on the way to a failure is swept out soon.
                self._request_sweep()

    async def _load(self, path: Path, name: AdapterName, *, replace: bool, who: str) -> Version:
        # Before the read: a folder that changes meanwhile then differs from what was handled.
        own_fingerprint = None
        if path == self._root.resolve() / name:
            own_fingerprint = await asyncio.to_thread(fingerprint, path)

        version = await self._ingest.read(path, name)
        if isinstance(version, Rejected):
            raise AdapterRejected(name, tuple(reason.text for reason in version.reasons))

        live = self._registry.live(name)
        if live == version:
            return version
        if live is not None and not replace:
            raise AdapterConflict(f"adapter {name!r} is already served with other weights")

        checks = self._ingest.identity
        if own_fingerprint is None:
            passed_over = self._handled.get(name)
            source = AdminSource(path=path, passed_over=passed_over, checks=checks)
            await self._swaps.replace(version, source, who=who)
            return version

        # The name's own folder, which the next look would have found: removing it later removes
        # the adapter, as for any other folder.
        own = FolderSource(fingerprint=own_fingerprint, checks=checks)
        await self._swaps.replace(version, own, who=who)
        self._handled[name] = own_fingerprint
        return version

    async def roll_back(self, name: str, digest_prefix: str | None, *, who: str) -> None:
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

    async def withdraw(self, name: str, *, who: str) -> None:
        """Take a name away although its folder stays, until that folder changes."""
        present = await asyncio.to_thread(fingerprint, self._root / name)
        if present == ABSENT:
            self._remove(name, who=who)
            return

        # Handled, so that the next look does not take the same folder in again.
        self._handled[name] = present
        self._remove(name, who=who, withdrawn=present)

    async def delete(self, digest: Digest, *, who: str) -> None:
        """Drop a kept version from its adapters, the engine and the store.

        Raises AdapterConflict while it is live, in use, or held by a source.
        """
        # Not while a keeper changes: a flip to this version would find it forgotten.
        async with self._turns.turn(*self._keepers(digest)):
            self._registry.forget(digest)

            # Out of the engine before out of the store: the engine reads these files.
            placed = self._swaps.placed()
            doomed = frozenset(version for version in placed if version.digest == digest)
            await self._swaps.unload(doomed)
            await self._sweep.run()
            self._events.add("deleted", who=who, version=digest[:DIGEST_PREFIX])

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

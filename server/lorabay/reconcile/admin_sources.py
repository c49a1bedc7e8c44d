"""Adapters that admins named in earlier runs, served again after a restart: the store still has
them.

Owns which of them still wait for the engine or the store. Knows nothing of the names' own folders,
except the fingerprints that they were passed over with.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import AdminSource

if TYPE_CHECKING:
    from lorabay.catalog.registry.registry import Registry
    from lorabay.reconcile.ingest import Ingest
    from lorabay.reconcile.known_folders import KnownFolders
    from lorabay.reconcile.swaps import Swaps
    from lorabay.reconcile.turns import Turns


class AdminSources:
    """The folders that admins named, of one registry's adapters."""

    def __init__(
        self, registry: Registry, ingest: Ingest, swaps: Swaps, turns: Turns, known: KnownFolders
    ) -> None:
        self._registry = registry
        self._ingest = ingest
        self._swaps = swaps
        self._turns = turns
        self._known = known
        self._postponed: set[str] = set()

    async def restore(self) -> None:
        """Serve again what admins named in earlier runs; what has to wait is tried again."""
        for status in self._registry.snapshot():
            source = status.source
            if not isinstance(source, AdminSource):
                continue
            if source.passed_over is not None:
                self._known.note_handled(status.name, source.passed_over)
            self._postponed.add(status.name)
            await self._restore(status.name)

    def retry(self) -> None:
        """Begin to restore the adapters that could not be restored yet."""
        for name in self._postponed:
            self._turns.start(name, partial(self._restore, name))

    def serve_on(self, name: str) -> None:
        """Serve on what an admin loaded, if anything, beside a folder that does not count."""
        status = self._registry.status(name)
        if status is not None and isinstance(status.source, AdminSource):
            self._postponed.add(name)

    def give_way(self, name: str) -> None:
        """Restore a name no more: its own folder has changed, and counts."""
        self._postponed.discard(name)

    async def _restore(self, name: str) -> None:
        """Serve an admin's adapter; it stays postponed if the engine or the store is to blame."""
        status = self._registry.status(name)
        source = status.source if status is not None else None
        if name not in self._postponed or not isinstance(source, AdminSource):
            self._postponed.discard(name)
            return

        # Under other checks the source is another one, and the folder has to be read again.
        source = source.model_copy(update={"checks": self._ingest.identity})
        if await self._serve(AdapterName(name), source):
            self._postponed.discard(name)

    async def _serve(self, name: AdapterName, source: AdminSource) -> bool:
        """Serve the folder that an admin named; return False if it should be tried again later."""
        remembered = self._registry.remembered(name, source)
        result = await self._ingest.read(source.path, name, known=remembered)
        return await self._swaps.take(name, result, source)

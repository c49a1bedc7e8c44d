"""The changes of adapters: those that their folders ask for, and those that admins ask for.

Serial: changes of one adapter, each of which takes its own turn. Parallel: changes of different
adapters. Joins the parts that make them. Knows nothing of when to look at the directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.reconcile.admin_changes import AdminChanges
from lorabay.reconcile.admin_loads import AdminLoads
from lorabay.reconcile.admin_sources import AdminSources
from lorabay.reconcile.folder_changes import FolderChanges
from lorabay.reconcile.known_folders import KnownFolders
from lorabay.reconcile.removals import Removals
from lorabay.reconcile.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lorabay.catalog.registry.registry import Registry
    from lorabay.reconcile.events import EventLog
    from lorabay.reconcile.ingest import Ingest
    from lorabay.reconcile.store_sweep import StoreSweep
    from lorabay.reconcile.swaps import Swaps


class AdapterChanges:
    """The changes of one registry's adapters.

    `folders` makes those that the directory `root` asks for, and `admins` those that admins ask
    for; `admin_sources` serves again what admins named in earlier runs. `look_again` is called when
    a change leaves something to sweep out of the store.
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
        self._swaps = swaps
        self._sweep = sweep
        self._look_again = look_again
        self._turns = Turns()
        self._loads = AdminLoads()
        self._known = KnownFolders(registry, ingest)
        removals = Removals(self._turns, self._loads, swaps, sweep)

        self.admin_sources = AdminSources(registry, ingest, swaps, self._turns, self._known)
        self.folders = FolderChanges(
            registry,
            ingest,
            swaps,
            self._turns,
            self._known,
            self.admin_sources,
            removals,
            request_sweep=self._request_sweep,
        )
        self.admins = AdminChanges(
            root,
            registry,
            ingest,
            swaps,
            self._turns,
            self._known,
            self._loads,
            removals,
            sweep,
            events,
            request_sweep=self._request_sweep,
        )

    @property
    def handled(self) -> Mapping[str, str]:
        """Fingerprint of the folder that each name was last changed for, or that was withdrawn."""
        return self._known.handled

    @property
    def being_loaded(self) -> frozenset[str]:
        """The names that an admin is loading a version for."""
        return self._loads.names

    def take_stock(self) -> None:
        """Go on from what the registry remembers, which another server has changed."""
        self._known.take_stock()

    def volume_changed(self) -> None:
        """Note that the directory lies on another volume, or was away."""
        self._known.volume_changed()

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

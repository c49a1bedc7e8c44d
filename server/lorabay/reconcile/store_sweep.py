"""Sweeps the store on request: removes the versions that nobody needs any more.

Whoever leaves a version behind requests a sweep; the reconciler runs it when it looks next. A sweep
that could not be done stays requested. Serial: one sweep at a time. A store that hangs holds up
whoever asks for a while only. Records that a full disk does not take do not stop a sweep, which
makes room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set as AbstractSet
from typing import TYPE_CHECKING

from lorabay.reconcile.bounded_work import BoundedWork

if TYPE_CHECKING:
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.versions import Digest
    from lorabay.reconcile.ingest import Ingest


class StoreSweep:
    """The sweep of one store.

    `needed` returns the versions that must stay when it is called, and `unwritten` what the records
    on disk do not say yet.
    """

    def __init__(
        self,
        ingest: Ingest,
        needed: Callable[[], AbstractSet[Digest]],
        unwritten: Callable[[], Mapping[AdapterName, Mapping[str, object]]] = dict,
    ) -> None:
        self._ingest = ingest
        self._needed = needed
        self._unwritten = unwritten
        self._is_requested = False
        self._work = BoundedWork("the sweep of the store", self._sweep_while_requested)

    def request(self) -> None:
        """Have the store swept soon; idempotent."""
        self._is_requested = True

    async def run_if_requested(self) -> None:
        """Sweep if anybody asked for it, and if none is under way; raises SetupError."""
        if self._is_requested and not self._work.is_running:
            await self.run()

    async def run(self) -> None:
        """Sweep now, unless a folder is being read: then the sweep stays requested.

        Raises SetupError when the store cannot be used, or hangs; the sweep stays requested then
        too.
        """
        self.request()
        await self._work.run()

    async def stop(self) -> None:
        """Give up a sweep that is under way."""
        await self._work.stop()

    async def _sweep_while_requested(self) -> None:
        while self._is_requested:
            # Cleared first: a request that comes while the sweep runs asks for another one.
            self._is_requested = False
            is_done = False
            try:
                is_done = await self._ingest.sweep(self._needed, self._unwritten)
            finally:
                if not is_done:
                    self._is_requested = True
            if not is_done:
                return

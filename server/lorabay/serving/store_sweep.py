"""Sweeps the store on request: removes the versions that nobody needs any more.

Whoever leaves a version behind requests a sweep; the reconciler runs it when it looks next. A sweep
that could not be done stays requested. Serial: one sweep at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Set as AbstractSet
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest
    from lorabay.serving.ingest import Ingest


class StoreSweep:
    """The sweep of one store; `needed` returns the versions that must stay when it is called."""

    def __init__(self, ingest: Ingest, needed: Callable[[], AbstractSet[Digest]]) -> None:
        self._ingest = ingest
        self._needed = needed
        self._is_requested = False

    def request(self) -> None:
        """Have the store swept soon; idempotent."""
        self._is_requested = True

    async def run_if_requested(self) -> None:
        """Sweep if anybody asked for it; raises SetupError."""
        if self._is_requested:
            await self.run()

    async def run(self) -> None:
        """Sweep now, unless a folder is being read: then the sweep stays requested.

        Raises SetupError when the store cannot be used; the sweep stays requested then too.
        """
        # Cleared first: a request that comes while the sweep runs asks for another one.
        self._is_requested = False
        is_done = False
        try:
            is_done = await self._ingest.sweep(self._needed)
        finally:
            if not is_done:
                self._is_requested = True

"""Changes one adapter for what its own folder holds now, or because that is gone.

Changes of one adapter take turns; one that still waits for its turn is overtaken by the next. What
an admin does not want is known by its content: a folder that only looks new is still unwanted.
Knows nothing of when to look at the directory.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import AdminSource
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.reasons import Rejected
from lorabay.reconcile.events import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.discovery import Candidate
    from lorabay.catalog.records import FolderSource
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.versions import Version
    from lorabay.reconcile.admin_sources import AdminSources
    from lorabay.reconcile.ingest import Ingest
    from lorabay.reconcile.known_folders import KnownFolders
    from lorabay.reconcile.removals import Removals
    from lorabay.reconcile.swaps import Swaps
    from lorabay.reconcile.turns import Turns


class FolderChanges:
    """The changes of one registry's adapters that their folders ask for.

    `request_sweep` is called when a change leaves something to sweep out of the store.
    """

    def __init__(
        self,
        registry: Registry,
        ingest: Ingest,
        swaps: Swaps,
        turns: Turns,
        known: KnownFolders,
        admin_sources: AdminSources,
        removals: Removals,
        *,
        request_sweep: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._ingest = ingest
        self._swaps = swaps
        self._turns = turns
        self._known = known
        self._admin_sources = admin_sources
        self._removals = removals
        self._request_sweep = request_sweep

    def take_in(self, candidate: Candidate) -> None:
        """Begin to serve what a folder holds now; a change that still waits is overtaken."""
        self._admin_sources.give_way(candidate.name)
        self._known.note_handled(candidate.name, candidate.fingerprint)
        self._turns.start(candidate.name, partial(self._take_in, candidate))

    def folder_is_gone(self, name: str, *, was_taken: bool = True) -> None:
        """Forget a folder that is gone, and take the name away if it was served from it.

        `was_taken` says that somebody took away this very folder, and not that all of a volume is
        gone: then it comes back as new, also if an admin did not want what was in it.
        """
        self._known.forget(name)

        status = self._registry.status(name)
        is_admins = status is not None and isinstance(status.source, AdminSource)
        if status is not None and not status.is_gone and not is_admins:
            self._removals.remove(name, who=FOLDER)
            return

        self._turns.cancel(name)
        if was_taken:
            self._registry.unwanted.forget(name)

    async def _take_in(self, candidate: Candidate) -> None:
        name = AdapterName(candidate.name)
        if candidate.reasons:
            self._refuse_unread(name, candidate)
            return

        is_handled = False
        try:
            is_handled = await self._serve(name, candidate)
        finally:
            if not is_handled:
                # The folder is not to blame: the next look takes it in again.
                self._known.note_unhandled(candidate)
        if is_handled:
            self._known.note_recognised(name)
            self._request_sweep()

    def _refuse_unread(self, name: AdapterName, candidate: Candidate) -> None:
        """Refuse a folder that nobody needs to read to know that it cannot be served."""
        # Every other reason is against the name or the link: nothing may be served under it.
        only_unreadable = all(reason.code == "unreadable" for reason in candidate.reasons)
        self._swaps.refuse(
            name,
            AdapterState.REJECTED,
            candidate.reasons,
            who=FOLDER,
            serve_former=only_unreadable,
        )
        self._admin_sources.serve_on(name)

    async def _serve(self, name: AdapterName, candidate: Candidate) -> bool:
        """Serve what the name's own folder holds, unless an admin does not want that.

        Return False if the same folder should be tried again later.
        """
        unwanted = self._registry.unwanted
        if unwanted.has(name, candidate.fingerprint):
            self._pass_over(name, candidate)
            return True

        source, result = await self._read(name, candidate)
        if isinstance(result, Rejected):
            return await self._swaps.take(name, result, source)
        if unwanted.has(name, candidate.fingerprint, result.digest):
            self._pass_over(name, candidate)
            return True
        return await self._swaps.take(name, result, source)

    async def _read(
        self, name: AdapterName, candidate: Candidate
    ) -> tuple[FolderSource, Version | Rejected]:
        """Return how a folder will be remembered, and the version that it holds.

        It is not read if it is the one that the name was served from.
        """
        path, found_as = candidate.path, candidate.fingerprint
        if self._known.served_from(name) is None:
            new, sketch = await self._ingest.read_and_sketch(path, name, found_as)
            return self._known.source_of(candidate, sketch), new

        source = await self._known.described(candidate)
        remembered = self._registry.remembered(name, self._known.comparable(name, source))
        result = await self._ingest.read(path, name, found_as=found_as, known=remembered)
        return source, result

    def _pass_over(self, name: AdapterName, candidate: Candidate) -> None:
        """Leave a folder alone that an admin unloaded, or loaded another one over."""
        self._registry.unwanted.note_fingerprint(name, candidate.fingerprint)
        self._admin_sources.serve_on(name)

"""What is known of the adapters' own folders: which were dealt with, and how each is recognised.

A folder is known by the fingerprint that it had, and by the sketch that a copy of it shares. What
the file system says of a folder after its volume was away need not be what it said before. Knows
nothing of what is served, except what the registry remembers of each name's source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.catalog.fingerprints import ABSENT, differ_in_inodes_only
from lorabay.catalog.records import AdminSource, FolderSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lorabay.catalog.discovery import Candidate
    from lorabay.catalog.registry.adapter_state import AdapterStatus
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.versions import Digest
    from lorabay.reconcile.ingest import Ingest


class KnownFolders:
    """The folders of one directory, by the names of their adapters."""

    def __init__(self, registry: Registry, ingest: Ingest) -> None:
        self._registry = registry
        self._ingest = ingest
        self._handled: dict[str, str] = registry.unwanted.withdrawn()
        self._recognised: set[str] = set()
        """Names whose folders were dealt with since their volume was mounted."""

    @property
    def handled(self) -> Mapping[str, str]:
        """Fingerprint of the folder that each name was last changed for, or that was withdrawn."""
        return self._handled

    def take_stock(self) -> None:
        """Count as dealt with only what the registry remembers: another server has changed it.

        Everything else is looked at as if for the first time.
        """
        statuses = self._registry.snapshot()
        self._handled = accepted(statuses) | self._registry.unwanted.withdrawn()
        for status in statuses:
            source = status.source
            if isinstance(source, AdminSource) and source.passed_over is not None:
                self._handled[status.name] = source.passed_over
        self._recognised.clear()

    def note_handled(self, name: str, fingerprint: str) -> None:
        """Note that a folder is dealt with: looks pass it over while it stays as it is."""
        self._handled[name] = fingerprint

    def note_unhandled(self, candidate: Candidate) -> None:
        """Have the next look deal with a folder once more, unless it is another one by now."""
        if self._handled.get(candidate.name) == candidate.fingerprint:
            del self._handled[candidate.name]

    def forget(self, name: str) -> None:
        """Forget a folder that is gone."""
        self._handled.pop(name, None)
        self._recognised.discard(name)

    def note_recognised(self, name: str) -> None:
        """Note that a folder was dealt with on the volume that is mounted now."""
        self._recognised.add(name)

    def volume_changed(self) -> None:
        """Note that the directory lies on another volume, or was away."""
        self._recognised.clear()

    async def described(self, candidate: Candidate) -> FolderSource:
        """Return how a folder may be recognised as the one that its name was served from."""
        before = self.served_from(candidate.name)
        sketch = None
        if before is not None and before.fingerprint == candidate.fingerprint:
            sketch = before.sketch
        if sketch is None:
            sketch = await self._ingest.sketch(candidate.path)
        return self.source_of(candidate, sketch)

    def source_of(self, candidate: Candidate, sketch: str | None) -> FolderSource:
        """Return how a folder will be remembered."""
        checks = self._ingest.identity
        return FolderSource(fingerprint=candidate.fingerprint, checks=checks, sketch=sketch)

    def comparable(self, name: str, source: FolderSource) -> FolderSource:
        """Return a folder as it may be compared with the one that is remembered.

        A change that this server has seen happen is a change, whatever the sketches say.
        """
        before = self.served_from(name)
        if name not in self._recognised or before is None:
            return source
        if differ_in_inodes_only(before.fingerprint, source.fingerprint):
            return source
        return source.model_copy(update={"sketch": None})

    def served_from(self, name: str) -> FolderSource | None:
        """Return the folder that a name was served from last, if it was its own."""
        status = self._registry.status(name)
        source = status.source if status is not None else None
        return source if isinstance(source, FolderSource) else None

    def last_seen(self, name: str) -> str:
        """Return the fingerprint of a name's own folder when it was last in sight, or ABSENT."""
        source = self.served_from(name)
        if source is not None:
            return source.fingerprint
        return self._handled.get(name, ABSENT)

    def version_in(self, name: str, fingerprint: str | None) -> Digest | None:
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


def accepted(statuses: Iterable[AdapterStatus]) -> dict[str, str]:
    """Return the fingerprint of each name's own folder when it was accepted last."""
    fingerprints: dict[str, str] = {}
    for status in statuses:
        if isinstance(status.source, FolderSource):
            fingerprints[status.name] = status.source.fingerprint
    return fingerprints

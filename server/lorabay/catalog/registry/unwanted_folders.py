"""Folders that an admin does not want: what a name's own folder held when it was unloaded, or when
another folder was loaded over it.

It is known by its fingerprint, and by the version in it under whatever fingerprint that is found
now. It is forgotten when the folder is gone: the next one is another. Knows nothing of when folders
are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.catalog.records import AdminSource
from lorabay.catalog.registry.adapter_state import AdapterState

if TYPE_CHECKING:
    from lorabay.catalog.records import Record
    from lorabay.catalog.registry.adapter_table import AdapterTable
    from lorabay.catalog.versions import Digest

Changes = dict[str, object]
"""Fields of a record with their new values."""


class UnwantedFolders:
    """What the records of a server say of folders that an admin does not want."""

    def __init__(self, table: AdapterTable) -> None:
        self._table = table

    def withdrawn(self) -> dict[str, str]:
        """Return the fingerprints of the folders that an admin has unloaded, by name."""
        fingerprints: dict[str, str] = {}
        for name, adapter in self._table.adapters.items():
            if adapter.record.withdrawn:
                fingerprints[name] = adapter.record.withdrawn
        return fingerprints

    def has(self, name: str, fingerprint: str, digest: Digest | None = None) -> bool:
        """Return whether the name's own folder, found with `fingerprint`, holds what is not wanted.

        `digest` is the version in it if that is known.
        """
        adapter = self._table.get(name)
        return adapter is not None and is_unwanted(adapter.record, fingerprint, digest)

    def note_fingerprint(self, name: str, fingerprint: str) -> None:
        """Note that a folder with this fingerprint holds what is not wanted of a known name."""
        adapter = self._table[name]
        self._table.save(name, **with_fingerprint(adapter.record, fingerprint))
        if adapter.record.withdrawn:
            self._table.set_state(name, AdapterState.DRAINING)
            self._table.forget_when_drained(name)

    def forget(self, name: str) -> None:
        """Note that the folder is gone: the next one is wanted."""
        adapter = self._table.get(name)
        if adapter is None:
            return

        was_withdrawn = bool(adapter.record.withdrawn)
        self._table.save(name, **without_folder(adapter.record))
        if was_withdrawn:
            self._table.forget_when_drained(name)


def is_unwanted(record: Record, fingerprint: str, digest: Digest | None = None) -> bool:
    """Return whether a folder holds what the record says is not wanted; see `UnwantedFolders`."""
    source = record.source
    if record.withdrawn is not None:
        found_as, holds = record.withdrawn, record.withdrawn_digest
    elif isinstance(source, AdminSource) and source.passed_over is not None:
        found_as, holds = source.passed_over, source.passed_over_digest
    else:
        return False
    return fingerprint == found_as or (digest is not None and digest == holds)


def with_fingerprint(record: Record, fingerprint: str) -> Changes:
    """Return the changes that note another fingerprint of what is not wanted."""
    if record.withdrawn:
        return {"withdrawn": fingerprint}
    if isinstance(record.source, AdminSource):
        return {"source": record.source.model_copy(update={"passed_over": fingerprint})}
    return {}


def without_folder(record: Record) -> Changes:
    """Return the changes that note that nothing is unwanted any more."""
    changes: Changes = {}
    if record.withdrawn:
        changes["withdrawn"] = None
        changes["withdrawn_digest"] = None
    if isinstance(record.source, AdminSource):
        passed_over = {"passed_over": None, "passed_over_digest": None}
        changes["source"] = record.source.model_copy(update=passed_over)
    return changes

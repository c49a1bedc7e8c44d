"""What an admin does not want of a name's own folder: what it held when it was unloaded, or when
another folder was loaded over it.

It is known by its fingerprint, and by the version in it under whatever fingerprint that is found
now. Reads records and says how they change; knows nothing of when that is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.catalog.records import AdminSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.catalog.records import Record
    from lorabay.catalog.versions import Digest

Changes = dict[str, object]
"""Fields of a record with their new values."""


def withdrawn(records: Mapping[str, Record]) -> dict[str, str]:
    """Return the fingerprints of the folders that an admin has unloaded, by name."""
    return {name: record.withdrawn for name, record in records.items() if record.withdrawn}


def is_unwanted(record: Record, fingerprint: str, digest: Digest | None = None) -> bool:
    """Return whether the name's own folder, found with `fingerprint`, holds what is not wanted.

    `digest` is the version in it if that is known.
    """
    source = record.source
    if record.withdrawn is not None:
        found_as, holds = record.withdrawn, record.withdrawn_digest
    elif isinstance(source, AdminSource) and source.passed_over is not None:
        found_as, holds = source.passed_over, source.passed_over_digest
    else:
        return False
    return fingerprint == found_as or (digest is not None and digest == holds)


def found_as(record: Record, fingerprint: str) -> Changes:
    """Return the changes that note another fingerprint of what is not wanted."""
    if record.withdrawn:
        return {"withdrawn": fingerprint}
    if isinstance(record.source, AdminSource):
        return {"source": record.source.model_copy(update={"passed_over": fingerprint})}
    return {}


def nothing(record: Record) -> Changes:
    """Return the changes that note that the folder is gone: the next one is another."""
    changes: Changes = {}
    if record.withdrawn:
        changes |= {"withdrawn": None, "withdrawn_digest": None}
    if isinstance(record.source, AdminSource):
        passed_over = {"passed_over": None, "passed_over_digest": None}
        changes["source"] = record.source.model_copy(update=passed_over)
    return changes

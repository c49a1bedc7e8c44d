"""The memory of a server over a restart: one small JSON file for each adapter.

A record is written by rename, without fsync: a killed process loses nothing, a power cut at worst
the last change. An unreadable file counts as absent. Knows nothing of how the fields are used.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import structlog
from filelock import FileLock
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_serializer,
    model_validator,
)

from lorabay.catalog.names import AdapterName, name_problems
from lorabay.catalog.versions import Digest
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = structlog.get_logger(__name__)

_LOCK_SECONDS = 5.0

_ADMIN_KEY = "admin "
"""Prefix of an admin's source in the former layout of records."""

_Digest = Annotated[Digest, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class FolderSource(BaseModel):
    """The adapter's own folder, as it was when its newest version was accepted.

    `fingerprint` is the folder's and `sketch` what a copy of it has in common with it, if that is
    known; `checks` is the identity of the checks that accepted it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["folder"] = "folder"
    fingerprint: str
    checks: str
    sketch: str | None = None

    def is_same_folder(self, other: object) -> bool:
        """Return whether `other` is this folder unchanged, or a copy of it, under these checks."""
        if not isinstance(other, FolderSource) or self.checks != other.checks:
            return False
        if self.fingerprint == other.fingerprint:
            return True
        return self.sketch is not None and self.sketch == other.sketch


class AdminSource(BaseModel):
    """A folder that an admin named, and the identity of the checks that accepted it.

    `passed_over` is the fingerprint that the adapter's own folder had at that time, if it existed,
    and `passed_over_digest` the version in it, if that is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["admin"] = "admin"
    path: Path
    passed_over: str | None
    checks: str
    passed_over_digest: _Digest | None = None

    @field_serializer("path")
    def _path_as_text(self, path: Path) -> str:
        return str(path)


Source = FolderSource | AdminSource
"""Where the newest version of an adapter came from."""


class Rollback(BaseModel):
    """An admin's choice of version `to` although the source holds `instead_of`.

    It ends when the source holds something else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: _Digest
    instead_of: _Digest


class Record(BaseModel):
    """Everything that is remembered about one adapter.

    `kept` are the versions that were live, the last first. `source` and `source_digest` say where
    the newest version came from and which one it was. `withdrawn` is the fingerprint of a folder
    that an admin unloaded, and `withdrawn_digest` the version in it, if that is known.
    `quarantined` are the versions that killed the engine. `removed_at` is when the name was taken
    away (seconds since the epoch): what the other fields say of it is kept for its return.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kept: tuple[_Digest, ...] = ()
    source: Annotated[Source, Field(discriminator="kind")] | None = None
    source_digest: _Digest | None = None
    rollback: Rollback | None = None
    pinned: bool = False
    withdrawn: str | None = None
    withdrawn_digest: _Digest | None = None
    quarantined: tuple[_Digest, ...] = ()
    removed_at: float | None = None

    @property
    def digests(self) -> frozenset[Digest]:
        """The versions that a restart asks the store for."""
        chosen = (self.source_digest, self.rollback.to if self.rollback else None)
        return frozenset(filter(None, (*self.kept, *chosen)))

    @model_validator(mode="before")
    @classmethod
    def _accept_source_key(cls, fields: Any) -> Any:
        """Accept the former layout, in which the source was one string, `source_key`."""
        if not isinstance(fields, dict) or "source_key" not in fields:
            return fields

        others = {name: value for name, value in fields.items() if name != "source_key"}
        return others | {"source": _source_of_key(fields["source_key"])}


def _source_of_key(key: object) -> Source | None:
    """Return the source that a `source_key` stood for; None if there was none or it is damaged."""
    if not isinstance(key, str) or not key:
        return None

    if not key.startswith(_ADMIN_KEY):
        fingerprint, _, checks = key.rpartition(" ")
        return FolderSource(fingerprint=fingerprint, checks=checks)

    try:
        path, passed_over, checks = json.loads(key.removeprefix(_ADMIN_KEY))
        return AdminSource(path=path, passed_over=passed_over, checks=checks)
    except (ValueError, TypeError):
        return None


class Records:
    """The records of one adapter directory over one base, in one folder.

    Several servers may share it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def load(self) -> dict[AdapterName, Record]:
        """Return every readable record by the name of its adapter."""
        records: dict[AdapterName, Record] = {}
        for path in sorted(self._folder.glob("*.json")):
            record = _read(path)
            if record is not None and not name_problems(path.stem):
                records[AdapterName(path.stem)] = record
        return records

    def update(self, name: AdapterName, changes: Mapping[str, object]) -> None:
        """Write some fields and leave the others as they are on disk.

        Another server of the same adapters may have changed those. An empty record is removed. A
        disk that refuses the write costs the memory over a restart, not the service.
        """
        path = self._folder / f"{name}.json"
        try:
            with FileLock(self._folder / "lock", timeout=_LOCK_SECONDS):
                record = (_read(path) or Record()).model_copy(update=changes)
                if record == Record():
                    path.unlink(missing_ok=True)
                    return

                durable.write(path, _as_json(record), lasting=False)
        except OSError as error:
            logger.warning(
                "record not written; a restart will not know it",
                path=str(path),
                reason=error.strerror,
            )


def recorded_digests(folder: Path) -> frozenset[Digest]:
    """Return the versions that the records in `folder` name."""
    records = filter(None, map(_read, folder.glob("*.json")))
    return frozenset().union(*(record.digests for record in records))


def _as_json(record: Record) -> str:
    # Not pydantic's own JSON: it refuses a path whose bytes are not UTF-8, and an admin may name
    # such a folder.
    return json.dumps(record.model_dump())


def _read(path: Path) -> Record | None:
    try:
        return Record.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None

"""The memory of a server over a restart: one small JSON file for each adapter.

A record is replaced in one step, and waited for: a kill or a power cut leaves the old one or the
new one. What this version does not know of a record, because a newer one wrote it, stays in it. A
file that is no record is kept under another name before a new one takes its place. A file that the
disk does not give is an error: it never counts as absent. Knows nothing of how the fields are used.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import structlog
from filelock import FileLock
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_serializer,
    model_validator,
)

from lorabay.catalog.names import AdapterName, name_problems
from lorabay.catalog.versions import Digest
from lorabay.errors import SetupError
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = structlog.get_logger(__name__)

_LOCK_SECONDS = 5.0

_ADMIN_KEY = "admin "
"""Prefix of an admin's source in the former layout of records."""

_DAMAGED = ".damaged-"
"""What the name of a file that was no record has got, before random digits."""

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

_Digest = Annotated[Digest, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class FolderSource(BaseModel):
    """The adapter's own folder, as it was when its newest version was accepted.

    `fingerprint` is the folder's and `sketch` what a copy of it has in common with it, if that is
    known; `checks` is the identity of the checks that accepted it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

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

    model_config = ConfigDict(extra="ignore", frozen=True)

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

    model_config = ConfigDict(extra="ignore", frozen=True)

    to: _Digest
    instead_of: _Digest


class Record(BaseModel):
    """Everything that is remembered about one adapter.

    `kept` are the versions that were live, the last first. `source` and `source_digest` say where
    the newest version came from and which one it was. `withdrawn` is the fingerprint of a folder
    that an admin unloaded, and `withdrawn_digest` the version in it, if that is known.
    `quarantined` are the versions that killed the engine. `removed_at` is when the name was taken
    away (seconds since the epoch): what the other fields say of it is kept for its return. `canary`
    is the version that a rollout answers a part of the clients with, and `rollout` what whoever
    rolls it out, or did last, remembers of that.
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
    canary: _Digest | None = None
    rollout: dict[str, Any] | None = None

    @property
    def digests(self) -> frozenset[Digest]:
        """The versions that a restart asks the store for."""
        chosen = (self.source_digest, self.canary, self.rollback.to if self.rollback else None)
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


_EMPTY = Record()


@dataclass(frozen=True, slots=True)
class Change:
    """Fields of a record that get new values, and the whole record with them, if that is known."""

    fields: Mapping[str, object]
    memory: Record | None = None


class Records:
    """The records of one adapter directory over one base, in one folder.

    Several servers may share it. All methods block on the disk.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def load(self) -> dict[AdapterName, Record]:
        """Return every record by the name of its adapter, as far as this version understands it.

        Raises SetupError if the disk does not give one: a server that took it for absent would
        forget what it says.
        """
        records: dict[AdapterName, Record] = {}
        try:
            for path in _files(self._folder):
                content = _read(path)
                if content is None:
                    logger.warning("record damaged; it counts as absent", path=str(path))
                record = _parse(content or {})
                if record != _EMPTY and not name_problems(path.stem):
                    records[AdapterName(path.stem)] = record
        except OSError as error:
            raise SetupError(
                f"the records in {self._folder} cannot be read: {error.strerror or error}"
            ) from error
        return records

    def update(
        self, name: AdapterName, changes: Mapping[str, object], memory: Record | None = None
    ) -> None:
        """Write some fields and leave the others as they are on disk.

        Another server of the same adapters may have changed those. `memory` is the whole record
        after the change, for a file that turns out to be no record. An empty record is removed.
        Raises OSError if the disk refuses.
        """
        self.update_all({name: Change(changes, memory)})

    def update_all(self, changes: Mapping[AdapterName, Change]) -> None:
        """Update many records, as `update` does; the disk takes them together.

        Raises OSError if it refuses, with some of them written, or none.
        """
        written: dict[str, str] = {}
        with FileLock(self._folder / "lock", timeout=_LOCK_SECONDS):
            for name, change in changes.items():
                path = self._folder / f"{name}.json"
                content = _changed(path, change)
                if _is_empty(content):
                    path.unlink(missing_ok=True)
                else:
                    written[path.name] = json.dumps(content)
            if written:
                durable.write_all(self._folder, written)

    def unwritten(self) -> dict[AdapterName, Mapping[str, object]]:
        """Return nothing: what was updated is on disk already."""
        return {}

    def flush(self, timeout_s: float) -> bool:
        """Return True, as nothing waits."""
        del timeout_s
        return True


def recorded_digests(
    folder: Path, unwritten: Mapping[AdapterName, Mapping[str, object]] | None = None
) -> frozenset[Digest]:
    """Return the versions that the records in `folder` name, also where only a newer version knows
    what for.

    `unwritten` holds fields of records that a full disk did not take. Raises OSError if a record
    cannot be read, and SetupError for one that is damaged: nobody knows what that named. Those that
    were moved aside count as far as they can be read.
    """
    digests: set[Digest] = set()
    for path in _files(folder):
        content = _read(path)
        changes = (unwritten or {}).get(AdapterName(path.stem))
        if content is not None and changes is not None:
            digests |= _parse(content).model_copy(update=changes).digests
            continue
        if content is None:
            raise SetupError(
                f"the record {path} is damaged, so that nobody knows which versions it named, and "
                "none is removed; restart the server that uses it, or move it away"
            )
        digests |= _digests_in(path)

    for path in folder.iterdir():
        if _DAMAGED in path.name:
            digests |= _digests_in(path)
    return frozenset(digests)


def _files(folder: Path) -> list[Path]:
    # Not `glob`, for which a folder that it may not list is an empty one.
    names = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in names if path.suffix == ".json")


def _read(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, an empty one if there is no file; None for anything else.

    Raises OSError.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _digests_in(path: Path) -> set[Digest]:
    try:
        found = _DIGEST.findall(path.read_bytes())
    except FileNotFoundError:  # another server has just removed it
        return set()
    return {Digest(digest.decode()) for digest in found}


def _parse(content: Mapping[str, Any]) -> Record:
    """Return the fields that this version understands; the others have their defaults."""
    fields = _upgraded(content)
    with suppress(ValidationError):
        return Record.model_validate(fields)

    known: dict[str, Any] = {}
    for name, value in fields.items():
        try:
            Record.model_validate({name: value})
        except ValidationError:
            continue  # a newer version knows what it means
        known[name] = value
    return Record.model_validate(known)


def _upgraded(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's fields with the source of the former layout in the place of today's."""
    fields = dict(content)
    if "source_key" in fields:
        source = _source_of_key(fields.pop("source_key"))
        fields.setdefault("source", None if source is None else source.model_dump())
    return fields


def _is_empty(content: Mapping[str, Any]) -> bool:
    defaults = _defaults()
    return all(name in defaults and value == defaults[name] for name, value in content.items())


@cache
def _defaults() -> dict[str, Any]:
    return _dumped(_EMPTY)


def _dumped(record: Record, *, only: set[str] | None = None) -> dict[str, Any]:
    # Through JSON, so that a field is on disk what it is here.
    fields: dict[str, Any] = json.loads(json.dumps(record.model_dump(include=only)))
    return fields


def _changed(path: Path, change: Change) -> dict[str, Any]:
    """Return the content of a record's file with a change; a file that is none is moved aside."""
    content = _read(path)
    if content is None:
        _move_aside(path)
        content = {} if change.memory is None else _dumped(change.memory)

    fields = change.fields
    content |= _dumped(Record(**fields), only=set(fields))  # type: ignore[arg-type]
    # The fields of the former layout are those of this one by now.
    return _upgraded(content)


def _move_aside(path: Path) -> None:
    """Keep a file that is no record under another name."""
    aside = path.with_name(f"{path.name}{_DAMAGED}{secrets.token_hex(4)}")
    durable.move(path, aside)
    logger.warning("damaged record moved aside", path=str(aside))

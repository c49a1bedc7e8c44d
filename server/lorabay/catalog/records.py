"""What a server must remember about each adapter over a restart: one small JSON file per adapter.

Written by rename, without fsync: a killed process loses nothing, a power cut at worst the last
change, and an unreadable file counts as absent. Knows nothing of what the fields are used for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import structlog
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from lorabay.catalog.names import AdapterName, name_problems
from lorabay.catalog.versions import Digest
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

logger = structlog.get_logger(__name__)

_LOCK_SECONDS = 5.0

_Digest = Annotated[Digest, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Rollback(BaseModel):
    """An admin chose version `to` although the folder holds `instead_of`; ends when the folder
    holds something else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: _Digest
    instead_of: _Digest


class Record(BaseModel):
    """`kept`: versions that were live, newest first. `source`: the folder's fingerprint and checks
    -> what it gave.

    `withdrawn`: fingerprint of the folder that an admin has unloaded. `quarantined`: versions that
    kill the engine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kept: tuple[_Digest, ...] = ()
    source_key: str | None = None
    source_digest: _Digest | None = None
    rollback: Rollback | None = None
    pinned: bool = False
    withdrawn: str | None = None
    quarantined: tuple[_Digest, ...] = ()

    @property
    def digests(self) -> frozenset[Digest]:
        """The versions that a restart asks the store for."""
        chosen = (self.source_digest, self.rollback.to if self.rollback else None)
        return frozenset(filter(None, (*self.kept, *chosen)))


class Records:
    """The records of one adapter directory over one base, in one folder. Several servers may share
    it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def load(self) -> dict[AdapterName, Record]:
        found: dict[AdapterName, Record] = {}
        for path in sorted(self._folder.glob("*.json")):
            record = _read(path)
            if record is not None and not name_problems(path.stem):
                found[AdapterName(path.stem)] = record
        return found

    def update(self, name: AdapterName, changes: Mapping[str, object]) -> None:
        """Changes some fields and leaves the others as they are on disk: another server of the same
        adapters, over the same store, may have changed them. An empty record is forgotten. A disk
        that refuses it costs the memory over a restart, not the service.
        """
        path = self._folder / f"{name}.json"
        try:
            with FileLock(self._folder / "lock", timeout=_LOCK_SECONDS):
                record = (_read(path) or Record()).model_copy(update=changes)
                if record == Record():
                    path.unlink(missing_ok=True)
                    return
                durable.write(path, record.model_dump_json(), lasting=False)
        except OSError as error:
            logger.warning(
                "record not written; a restart will not know it",
                path=str(path),
                reason=error.strerror,
            )


def recorded_digests(folder: Path) -> frozenset[Digest]:
    """The versions that the records in `folder` name."""
    records = filter(None, map(_read, folder.glob("*.json")))
    return frozenset().union(*(record.digests for record in records))


def _read(path: Path) -> Record | None:
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None

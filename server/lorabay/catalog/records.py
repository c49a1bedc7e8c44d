"""What a server must remember about each adapter over a restart: one small JSON file per adapter.

Written by rename, without fsync: a killed process loses nothing, a power cut at worst the last change, and an
unreadable file counts as absent. Knows nothing of what the fields are used for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import structlog
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from lorabay.catalog.names import AdapterName, name_problems
from lorabay.catalog.spec import Digest

if TYPE_CHECKING:
    from pathlib import Path

logger = structlog.get_logger(__name__)

_Digest = Annotated[Digest, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Rollback(BaseModel):
    """An admin chose version `to` although the folder holds `instead_of`; ends when the folder holds something else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: _Digest
    instead_of: _Digest


class Record(BaseModel):
    """`kept`: versions that were live, newest first. `source`: the folder's fingerprint and checks -> what it gave."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kept: tuple[_Digest, ...] = ()
    source_key: str | None = None
    source_digest: _Digest | None = None
    rollback: Rollback | None = None
    pinned: bool = False


class Records:
    """The records of one adapter directory in one folder."""

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

    def save(self, name: AdapterName, record: Record) -> None:
        """An empty record is forgotten. A disk that refuses it costs the memory over a restart, not the service."""
        path = self._folder / f"{name}.json"
        fresh = self._folder / f"{name}.new"
        try:
            if record == Record():
                path.unlink(missing_ok=True)
                return
            fresh.write_text(record.model_dump_json())
            fresh.replace(path)
        except OSError as error:
            logger.warning("record not written; a restart will not know it", path=str(path), reason=error.strerror)


def _read(path: Path) -> Record | None:
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None

"""The folders of records, one for each adapter directory and base: what servers remember.

    records/<key>/   see `catalog.records`, and `disuse` for how long nobody has used them

The versions that records name are kept while no server uses them, too. Every method is called under
the store's lock. Knows nothing of which servers live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.catalog.records import Records, recorded_digests
from lorabay.catalog.storage import disuse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date
    from pathlib import Path

    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.storage.work_folder import WorkFolder
    from lorabay.catalog.versions import Digest


class RecordFolders:
    """The records in `folder`; `work` takes what is removed."""

    def __init__(self, folder: Path, work: WorkFolder) -> None:
        self._folder = folder
        self._work = work

    def of(self, key: str) -> Records:
        """Return the records of one key, which are made if needed."""
        return Records(self._folder / key)

    def forget_unused(self, in_use: Collection[str], today: date) -> None:
        """Take away the records that have been seen unused on enough days; raises OSError.

        `in_use` are the keys of the others. Their files still have to be deleted from the work
        folder.
        """
        for folder in self._folders():
            if folder.name in in_use:
                disuse.note_used(folder)
            elif disuse.note_unused(folder, today) >= disuse.DAYS_KEPT:
                folder.rename(self._work.new_path())

    def digests(
        self, own_key: str | None, unwritten: Mapping[AdapterName, Mapping[str, object]] | None
    ) -> frozenset[Digest]:
        """Return the versions that servers ask for when they start again.

        `unwritten` are fields of the records of `own_key` that the disk has not taken yet. Raises
        OSError, and SetupError if a record is damaged.
        """
        digests: set[Digest] = set()
        for folder in self._folders():
            is_own = folder.name == own_key
            digests |= recorded_digests(folder, unwritten if is_own else None)
        return frozenset(digests)

    def _folders(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.is_dir()]

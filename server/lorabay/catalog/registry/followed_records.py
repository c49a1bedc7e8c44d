"""The records of a server that shares its names: written only while it is the one that keeps them.

Otherwise somebody else writes the same files, and this server follows what it is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.records import Record
    from lorabay.catalog.registry.adapter_table import Memory


class FollowedRecords:
    """Records as `Memory` has them; `keeps_names` says whether this server writes them now."""

    def __init__(self, records: Memory, keeps_names: Callable[[], bool]) -> None:
        self._records = records
        self._keeps_names = keeps_names

    def load(self) -> dict[AdapterName, Record]:
        """Return every record, as `Memory.load` does; blocks."""
        return self._records.load()

    def update(
        self, name: AdapterName, changes: Mapping[str, object], memory: Record | None = None
    ) -> None:
        """Write some fields of a record, unless that is somebody else's to do."""
        if self._keeps_names():
            self._records.update(name, changes, memory)

    def unwritten(self) -> Mapping[AdapterName, Mapping[str, object]]:
        """Return the fields of each record that are not on disk yet."""
        return self._records.unwritten()

    def flush(self, timeout_s: float) -> bool:
        """Wait until every update is on disk; return whether it is."""
        return self._records.flush(timeout_s)

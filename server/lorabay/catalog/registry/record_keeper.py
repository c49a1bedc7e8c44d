"""Keeps the records on disk at what the registry remembers, without making it wait.

The registry changes its memory at once; a thread writes each change, and again until the disk takes
it. So a store whose disk is full, slow or away costs a restart its newest memory at worst, and only
if the server is killed before the disk is back.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.files.background import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.records import Record, Records


@dataclass(frozen=True, slots=True)
class _Change:
    """Fields that differ from the disk, and the whole record with them."""

    fields: Mapping[str, object]
    memory: Record | None


class RecordKeeper:
    """The records of one server, as `Records` has them; `update` returns before the disk does."""

    def __init__(self, records: Records, *, pause: Callable[[], None] | None = None) -> None:
        self._records = records
        self._waiting: dict[AdapterName, _Change] = {}
        self._lock = threading.Lock()
        self._writer = BackgroundWriter("records", self._write, pause=pause)

    def load(self) -> dict[AdapterName, Record]:
        """Return every record, as `Records.load` does; blocks."""
        return self._records.load()

    def update(
        self, name: AdapterName, changes: Mapping[str, object], memory: Record | None = None
    ) -> None:
        """Have some fields written soon; see `Records.update`."""
        with self._lock:
            before = self._waiting.get(name)
            fields = changes if before is None else {**before.fields, **changes}
            self._waiting[name] = _Change(fields, memory)
        self._writer.wake()

    def unwritten(self) -> dict[AdapterName, Mapping[str, object]]:
        """Return the fields of each record that are not on disk yet."""
        with self._lock:
            return {name: change.fields for name, change in self._waiting.items()}

    def flush(self, timeout_s: float) -> bool:
        """Wait until every update of now is on disk; return whether it is."""
        return self._writer.flush(timeout_s)

    def _write(self) -> None:
        """Write what waits. Raises the last OSError; what was not written waits on."""
        with self._lock:
            changes = dict(self._waiting)

        problem: OSError | None = None
        for name, change in changes.items():
            try:
                self._records.update(name, change.fields, change.memory)
            except OSError as error:
                problem = error
            else:
                self._written(name, change)
        if problem is not None:
            raise problem

    def _written(self, name: AdapterName, change: _Change) -> None:
        with self._lock:
            # One that has grown meanwhile waits on, as a whole.
            if self._waiting.get(name) is change:
                del self._waiting[name]

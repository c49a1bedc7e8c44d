"""Keeps the records on disk at what the registry remembers, without making it wait.

The registry changes its memory at once; a thread writes each change, and again until the disk takes
it. So a store whose disk is full, slow or away costs a restart its newest memory at worst, and only
if the server is killed before the disk is back.
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING

from lorabay.catalog.records import Change
from lorabay.files.background import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.records import Record, Records


WRITTEN_TOGETHER = 64
"""Records that the disk takes at a time, under the lock of all servers that share them."""


class RecordKeeper:
    """The records of one server, as `Records` has them; `update` returns before the disk does."""

    def __init__(self, records: Records, *, pause: Callable[[], None] | None = None) -> None:
        self._records = records
        self._waiting: dict[AdapterName, Change] = {}
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
            self._waiting[name] = Change(fields, memory)
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
        for group in _groups(changes):
            try:
                self._records.update_all(group)
                self._written(group)
            except OSError:
                # What the disk refuses of one of them holds up no other.
                problem = self._write_each(group) or problem
        if problem is not None:
            raise problem

    def _write_each(self, changes: Mapping[AdapterName, Change]) -> OSError | None:
        """Write one record after the other; return the last problem."""
        problem: OSError | None = None
        for name, change in changes.items():
            try:
                self._records.update(name, change.fields, change.memory)
                self._written({name: change})
            except OSError as error:
                problem = error
        return problem

    def _written(self, changes: Mapping[AdapterName, Change]) -> None:
        with self._lock:
            for name, change in changes.items():
                # One that has grown meanwhile waits on, as a whole.
                if self._waiting.get(name) is change:
                    del self._waiting[name]


def _groups(changes: Mapping[AdapterName, Change]) -> Iterator[dict[AdapterName, Change]]:
    waiting = iter(changes.items())
    while group := dict(islice(waiting, WRITTEN_TOGETHER)):
        yield group

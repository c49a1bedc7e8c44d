"""Carries usage from journals into the database, in a thread of its own.

A record is inserted by its id, which adds nothing the second time: after a kill, or an error, the
last file of a journal is simply read again. While the database is down, the journal grows. Journals
of servers that were killed are taken up once, at the start. Knows nothing of SQL.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from lorabay.accounts.usage.journal import Watch, left_behind
from lorabay.accounts.usage.records import from_line
from lorabay.files.append_log import START, LogReader
from lorabay.files.background import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lorabay.accounts.usage.journal import Journal
    from lorabay.accounts.usage.records import UsageRecord
    from lorabay.files.append_log import Lines

logger = structlog.get_logger(__name__)

GATHER_S = 0.2
"""How long records gather before they are inserted: a transaction for each would be dear."""

TOGETHER = 1_000
"""Records of one transaction, at most."""


class UsageStore(Protocol):
    """Where usage stays."""

    def insert(self, records: Sequence[UsageRecord]) -> int:
        """Insert those records that are not there yet, and return how many those were.

        Blocks. Raises OSError if the database does not take them now.
        """
        ...


class Importer:
    """Carries every record of `journals` into `store`; `gather` waits for more of them."""

    def __init__(
        self,
        journals: Path,
        store: UsageStore,
        *,
        watch: Watch | None = None,
        gather: Callable[[], None] = lambda: time.sleep(GATHER_S),
        pause: Callable[[], None] | None = None,
    ) -> None:
        self._journals = journals
        self._store = store
        self._watch = watch or Watch()
        self._gather = gather
        self._own: Journal | None = None
        self._reader: LogReader | None = None
        self._place = START
        self._has_looked = False
        self._writer = BackgroundWriter("usage database", self._work, pause=pause)
        self.inserted = 0
        """Records that are in the database because of this process."""

        self.own_read = 0
        """Records of this server's own journal that are in the database."""

    def follow(self, own: Journal) -> None:
        """Begin with the journals that servers left behind, and go on with this one."""
        self._own = own
        self._reader = LogReader(own.folder)
        self.wake()

    def wake(self) -> None:
        """Say that the journal has grown; returns at once."""
        self._writer.wake()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that the journal had on disk is inserted; return whether it is. Blocks."""
        return self._writer.flush(timeout_s)

    def _work(self) -> None:
        """Insert all that is on disk; raises OSError, and is called again then."""
        self._gather()
        if not self._has_looked:
            self._take_up_others()
            self._has_looked = True

        while self._own is not None and self._reader is not None:
            found = self._reader.read(self._place, self._own.end, count=TOGETHER)
            if not found.lines and not found.damaged:
                return

            self._insert(found)
            self.own_read += len(found.lines)
            self._place = found.end
            self._reader.delete_before(self._place)

    def _take_up_others(self) -> None:
        for reader, claim in left_behind(self._journals):
            try:
                self._take_up(reader)
            finally:
                os.close(claim)

    def _take_up(self, reader: LogReader) -> None:
        place, before = START, self.inserted
        while (found := reader.read(place, count=TOGETHER)).end != place:
            self._insert(found)
            place = found.end
        try:
            reader.delete_all()
        except OSError as error:
            # It is read again at the next start, which adds nothing: this server goes on.
            reason = error.strerror or type(error).__name__
            logger.warning("the journal of a former server cannot be deleted", reason=reason)
        logger.info("usage of a former server taken up", records=self.inserted - before)

    def _insert(self, found: Lines) -> None:
        records = [record for record in map(from_line, found.lines) if record is not None]
        if records:
            try:
                new = self._store.insert(records)
            except OSError:
                self._watch.failed("database")
                raise
            self.inserted += new
            self._watch.records("inserted", new)

        damaged = found.damaged + len(found.lines) - len(records)
        if damaged:
            # A kill in the middle of a write leaves one, of records that were not committed yet.
            logger.warning("lines of a usage journal were torn or damaged", lines=damaged)
            self._watch.records("damaged", damaged)

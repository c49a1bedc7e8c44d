"""Where a server's usage goes: into a journal and from there into a database, or nowhere.

Which of the two it is, is chosen once, when a server starts. Knows nothing of requests.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import structlog

from lorabay.accounts.usage.importer import Importer
from lorabay.accounts.usage.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.accounts.usage.importer import UsageStore
    from lorabay.accounts.usage.journal import Watch
    from lorabay.accounts.usage.records import UsageRecord

logger = structlog.get_logger(__name__)


class Recorder(Protocol):
    """Takes the usage of each exchange when it has ended."""

    @property
    def waiting(self) -> int:
        """Records of this server that are not in the database yet."""
        ...

    def record(self, usage: UsageRecord) -> None:
        """Keep a record; returns at once, and never raises."""
        ...

    def flush(self, timeout_s: float) -> bool:
        """Wait until all of it is where reports find it; return whether it is. Blocks."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Flush, and end. The next server takes up what the database does not take. Blocks."""
        ...


class NoRecorder:
    """Keeps nothing: for servers without accounts."""

    waiting = 0

    def record(self, usage: UsageRecord) -> None:
        """Do nothing."""

    def flush(self, timeout_s: float) -> bool:
        """Return True at once."""
        return True

    def stop(self, timeout_s: float) -> None:
        """Do nothing."""


class JournalRecorder:
    """Keeps usage in a journal below `journals`, and carries it into `store`; `watch` is told what
    becomes of it.

    Raises SetupError if the journal cannot be written.
    """

    def __init__(self, journals: Path, store: UsageStore, watch: Watch | None = None) -> None:
        self._importer = Importer(journals, store, watch=watch)
        self._journal = Journal(journals, self._importer.wake, watch=watch)
        self._importer.follow(self._journal)
        self._recorded = 0

    def record(self, usage: UsageRecord) -> None:
        """Keep a record; returns at once, and never raises."""
        self._recorded += 1
        self._journal.add(usage)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all of it is in the database; return whether it is. Blocks."""
        ends = time.monotonic() + timeout_s
        if not self._journal.flush(timeout_s):
            return False
        return self._importer.flush(max(0.0, ends - time.monotonic()))

    def stop(self, timeout_s: float) -> None:
        """Flush, and delete the journal if the database has taken all of it. Blocks."""
        if not self.flush(timeout_s):
            logger.warning("usage is left in the journal for the next server", records=self.waiting)
            return
        # The folder is of no use, and of no harm.
        with suppress(OSError):
            self._journal.delete()

    @property
    def waiting(self) -> int:
        """Records of this server that are not in the database yet, also those on disk."""
        return max(0, self._recorded - self._journal.lost - self._importer.own_read)

"""The journal: usage on the disk of this machine within a moment of its exchange's end.

`add` only puts a record into memory. A thread writes what has gathered, and waits for the disk once
for all of it. What the disk refuses waits, up to a bound, beyond which usage is lost and counted.
Each server has a folder of its own among the journals; the folder of a server that was killed is
free for another one. Knows nothing of the database.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from lorabay.accounts.usage.records import new_id, to_line
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.append_log import LogReader, LogWriter, claim
from lorabay.files.background import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lorabay.accounts.usage.records import UsageRecord
    from lorabay.files.append_log import Place

logger = structlog.get_logger(__name__)

GATHER_S = 0.03
"""How long records gather before they are written: what a kill may lose, and a bound on how often
the disk is waited for.
"""

WAITING = 100_000
"""Records that wait in memory for a disk that refuses them, at most; some 50 MB."""

TOGETHER = 5_000
"""Records that are written at once, at most."""

_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
"""The name of a journal's folder: a UUID."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told what becomes of usage: `records` of each outcome, and how many; `failed` of each
    failure, and whether it was the `journal`'s or the `database`'s. Called in several threads.
    """

    records: Callable[[str, int], object] = lambda outcome, count: None
    failed: Callable[[str], object] = lambda where: None


class Journal:
    """The journal of one server, below the folder `journals`; `committed` is told of each commit.

    Raises SetupError if it cannot write there. `gather` waits for more records.
    """

    def __init__(
        self,
        journals: Path,
        committed: Callable[[], None] = lambda: None,
        *,
        watch: Watch | None = None,
        gather: Callable[[], None] = lambda: time.sleep(GATHER_S),
        pause: Callable[[], None] | None = None,
        waiting: int = WAITING,
    ) -> None:
        self._claim: int | None
        try:
            # For its owner alone, as the store is, which may not be there yet.
            for folder in (journals.parent, journals):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder, self._claim = _new_folder(journals)
            durable.sync(journals)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SetupError(
                f"the usage journal {journals} cannot be written: {reason}; "
                "make it writable, or name another folder with --usage-journal"
            ) from error

        self._committed = committed
        self._watch = watch or Watch()
        self._gather = gather
        self._most = waiting
        self._log = LogWriter(self.folder)
        self._waiting: deque[UsageRecord] = deque()
        self._lock = threading.Lock()
        self._writer = BackgroundWriter("usage journal", self._commit, pause=pause)
        self.lost = 0
        """Records that were dropped because too many waited for the disk."""

    def add(self, record: UsageRecord) -> None:
        """Have a record written soon; returns at once, and never raises."""
        with self._lock:
            is_full = len(self._waiting) >= self._most
            if not is_full:
                self._waiting.append(record)
            elif self.lost == 0:
                logger.error("usage is lost: the disk of the journal refuses it for too long")
            self.lost += is_full
        if is_full:
            self._watch.records("lost", 1)
        self._writer.wake()

    @property
    def waiting(self) -> int:
        """The number of records that are in memory alone."""
        return len(self._waiting)

    @property
    def end(self) -> Place:
        """The place after the last record on disk."""
        return self._log.end

    def _commit(self) -> None:
        """Write what waits; raises OSError, and then it waits on."""
        self._gather()
        while True:
            with self._lock:
                records = list(islice(self._waiting, TOGETHER))
            if not records:
                return

            try:
                self._log.append(map(to_line, records))
            except OSError:
                self._watch.failed("journal")
                raise
            with self._lock:
                for _ in records:
                    self._waiting.popleft()
            self._committed()

    def delete(self) -> None:
        """End the journal and delete it, all of which is elsewhere; raises OSError."""
        self._log.close()
        claimed, self._claim = self._claim, None
        try:
            LogReader(self.folder).delete_all()
        finally:
            if claimed is not None:
                os.close(claimed)

    def flush(self, timeout_s: float) -> bool:
        """Wait until every record of now is on disk; return whether it is. Blocks."""
        return self._writer.flush(timeout_s)


def _new_folder(journals: Path) -> tuple[Path, int]:
    """Return a new folder, with the claim on it. Raises OSError."""
    while True:
        folder = journals / new_id()
        folder.mkdir(mode=0o700)
        claimed = _try_claim(folder)
        if claimed is not None:
            if folder.exists():
                return folder, claimed
            os.close(claimed)
        # Another server has taken the empty folder for that of one that was killed.


def left_behind(journals: Path) -> Iterator[tuple[LogReader, int]]:
    """Yield a reader of each journal whose server has ended, with the claim on it.

    Whoever takes one closes the claim. What else lies there, such as the `lost+found` of a disk, is
    passed over. Raises OSError.
    """
    for folder in sorted(journals.iterdir()):
        claimed = _try_claim(folder) if _NAME.fullmatch(folder.name) else None
        if claimed is not None:
            yield LogReader(folder), claimed


def _try_claim(folder: Path) -> int | None:
    # Another server may have taken it up, and deleted it, since it was listed.
    try:
        return claim(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        logger.warning("a usage journal is another user's, and not taken up", folder=str(folder))
        return None

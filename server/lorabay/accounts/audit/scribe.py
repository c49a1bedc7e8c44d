"""Takes down what is done to adapters, which changes nothing in the database: in a thread, behind
it.

While the database does not answer, deeds wait, as many as fit; nobody is held up. Knows nothing of
adapters.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import structlog

from lorabay.accounts.audit.book import record
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from lorabay.accounts.audit.deeds import Deed
    from lorabay.accounts.database.database import Database

logger = structlog.get_logger(__name__)

WAITING = 10_000
"""Deeds that wait for a database that does not answer, at most; the event log has all of them."""

AT_ONCE = 200
"""Deeds of one transaction: keys are changed between two of them."""

RETRY_S = 1.0


class Scribe:
    """Writes deeds to the audit of `database`, in their order, with the time when they came.

    `lost` is told how many deeds were given up: those that found no room while the database did not
    answer, and those that could not be written.
    """

    def __init__(
        self, database: Database, *, lost: Callable[[int], object] = lambda count: None
    ) -> None:
        self._database = database
        self._lost = lost
        self._waiting: deque[tuple[float, Deed]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def take_down(self, deed: Deed) -> None:
        """Have a deed written; returns at once."""
        with self._changed:
            if len(self._waiting) >= WAITING:
                self._waiting.popleft()
                self._lost(1)
            self._waiting.append((time.time(), deed))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lorabay-audit", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until every deed of now is written; return whether it is. Blocks."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Wait, for a while, until every deed is written, and end. Blocks."""
        if not self.flush(timeout_s):
            logger.warning("not in the audit, but in the event log", deeds=len(self._waiting))
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                # Left in the queue until they are written: `flush` looks at it.
                some = list(self._waiting)[:AT_ONCE]
            self._write(some)

    def _write(self, some: list[tuple[float, Deed]]) -> None:
        def work(connection: Connection) -> None:
            for when, deed in some:
                record(connection, deed, now=when)

        try:
            self._database.write(work)
        except SetupError as error:
            logger.debug("the audit waits", reason=error.message)
            self._wait()
            return
        except Exception:
            # A bug of one deed must not end the audit of all that follow.
            logger.exception("bug", what="audit")
            self._lost(len(some))

        with self._changed:
            for one in some:
                # Many newer ones may have pushed it out meanwhile.
                if self._waiting and self._waiting[0] is one:
                    self._waiting.popleft()
            self._changed.notify_all()

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, RETRY_S)

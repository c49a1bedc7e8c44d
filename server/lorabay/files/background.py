"""A thread that writes what its owner has to write, and again until the disk takes it.

Whoever asks for a write never waits for the disk: a disk that hangs holds up this thread alone, and
the end of the process does not wait for it. The thread lives while there is something to write, and
a moment longer.
Knows nothing of what is written.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

logger = structlog.get_logger(__name__)

RETRY_S = 1.0
"""Pause after a write that failed."""

LINGER_S = 1.0
"""How long the thread waits for more when everything is written."""


class BackgroundWriter:
    """Calls `write` after each `wake`, and after a pause again while it raises OSError.

    `write` writes everything that waits; what it could not write must still wait when it raises.
    `what` names the thread and, in the log, what is written.
    """

    def __init__(
        self, what: str, write: Callable[[], None], *, pause: Callable[[], None] | None = None
    ) -> None:
        self._what = what
        self._write = write
        self._pause = pause or (lambda: time.sleep(RETRY_S))
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked = 0
        self._written = 0
        self._is_failing = False

    def wake(self) -> None:
        """Have everything written that waits now; returns at once."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"lorabay-{self._what}", daemon=True
                )
                self._thread.start()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is written that was asked for by now; return whether it is."""
        with self._changed:
            asked = self._asked
            return self._changed.wait_for(lambda: self._written >= asked, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._asked > self._written, LINGER_S):
                    self._thread = None
                    return
                asked = self._asked

            if not self._try():
                self._pause()
                continue

            with self._changed:
                self._written = asked
                self._changed.notify_all()

    def _try(self) -> bool:
        """Write once; return whether nothing is left. The log hears of the first failure only."""
        try:
            self._write()
        except OSError as error:
            if not self._is_failing:
                reason = error.strerror or type(error).__name__
                logger.warning(f"{self._what} not written yet", reason=reason)
            self._is_failing = True
            return False
        except Exception:  # the thread goes on with what comes next
            logger.exception("bug", what=self._what)

        if self._is_failing:
            logger.info(f"{self._what} written after all")
        self._is_failing = False
        return True

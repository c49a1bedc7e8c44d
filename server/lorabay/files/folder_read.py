"""One read of an adapter folder that is under way: how to end it, and how to see that it hangs.

A thread cannot be stopped from outside, and a file system may answer never. So a read asks between
two chunks whether anybody still waits for it, rests there if it is in the way, says while it waits
for the folder's file system, notes which files it has read, and says when it has read them all.
Knows nothing of what the files hold.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator


class Stopped(Exception):
    """Nobody waits for this read any more."""


class FolderRead:
    """One read, which one thread makes and another one may watch and stop.

    `finished` is called by the thread that reads, when what the folder holds is read and judged,
    and `rest` before each of its steps.
    """

    def __init__(
        self,
        finished: Callable[[], object] = lambda: None,
        rest: Callable[[], object] = lambda: None,
    ) -> None:
        self._finished = finished
        self._rest = rest
        self._is_stopped = threading.Event()
        self._waiting_since: float | None = None
        self._files: list[os.stat_result] = []

    def stop(self) -> None:
        """Have the read end at its next step."""
        self._is_stopped.set()

    def step(self) -> None:
        """Begin a further step; raise Stopped if there is to be none."""
        if self._is_stopped.is_set():
            raise Stopped
        self._rest()

    def finish(self) -> None:
        """Note that everything is read, and no longer in memory."""
        self._finished()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark a block that asks the folder's file system for something."""
        self.step()
        self._waiting_since = time.monotonic()
        try:
            yield
        finally:
            self._waiting_since = None

    @property
    def waited_s(self) -> float:
        """Return for how many seconds the file system has not answered by now."""
        since = self._waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def note(self, file: os.stat_result) -> None:
        """Note a file that was read from its begin to its end."""
        self._files.append(file)

    @property
    def files(self) -> tuple[os.stat_result, ...]:
        """The files that were read, as they were when they were opened."""
        return tuple(self._files)

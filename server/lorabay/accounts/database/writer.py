"""One thread that does pieces of work one after the other, in the order in which they came.

Nothing waits for it when the process ends, since a disk or a server may not answer; whoever must
have everything done calls `close`. Knows nothing of the work.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from lorabay.files.awaited_call import AwaitedCall

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Writer:
    """A thread named `name`, which starts with its first work."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[AwaitedCall | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """Have `call` done behind everything that was submitted before.

        Raises RuntimeError after `close`, and if there can be no thread.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the writer is closed")
            if self._thread is None:
                self._thread = self._start()
            self._queue.put(AwaitedCall(future, call))
        return future

    def close(self, timeout_s: float) -> bool:
        """Take no more work, and wait until everything is done; return whether it is."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._queue.put(None)
            thread = self._thread
        if thread is None:
            return True

        thread.join(timeout_s)
        return not thread.is_alive()

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work.make()
            # Nothing of it is kept alive while the thread waits.
            del work

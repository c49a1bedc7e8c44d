"""Threads for work that may never end: nothing waits for them when the process ends.

A file system that does not answer blocks a thread for ever, and nothing can stop it. The threads of
a `ThreadPoolExecutor` are joined when the process ends, and would keep it. Knows nothing of the
work; whoever gives it bounds how much there is at a time, or has it done by `ask`.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lorabay.errors import SetupError
from lorabay.files.awaited_call import AwaitedCall

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

PATIENCE_S = 10.0
"""How long `ask` waits for an answer: longer than a busy file server takes."""

ASKED_AT_MOST = 8
"""Questions that may wait for an answer; each costs a thread until it comes."""

LINGER_S = 1.0
"""How long a thread that has nothing to do waits for more."""

Result = TypeVar("Result")


class DaemonThreads:
    """Threads of one name, one for each piece of work; `prepare` is called first in every one.

    A thread that has ended its work waits a moment for more, since a thread that is made costs as
    much as reading a small file.
    """

    def __init__(self, name: str, prepare: Callable[[], object] = lambda: None) -> None:
        self._name = name
        self._prepare = prepare
        self._running: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._idle = 0
        """Threads that wait for work and have not been given any yet."""
        self._given: SimpleQueue[AwaitedCall] = SimpleQueue()
        """Work that one of the waiting threads takes."""

    @property
    def busy(self) -> int:
        """The number of pieces of work that have not ended."""
        return len(self._running)

    def begin(self, work: Callable[..., Result], *arguments: object) -> asyncio.Future[Result]:
        """Begin the work on the running loop; raise RuntimeError if there can be no thread."""
        # All that the loop wants of an executor is `submit`.
        executor = cast("Executor", self)
        return asyncio.get_running_loop().run_in_executor(executor, work, *arguments)

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin the work in a thread that does nothing else, as executors do."""
        future: Future[Any] = Future()
        self._running.add(future)
        future.add_done_callback(self._running.discard)

        wanted = AwaitedCall(future, partial(work, *args, **kwargs))
        if self._give(wanted):
            return future
        try:
            threading.Thread(target=self._run, args=(wanted,), name=self._name, daemon=True).start()
        except RuntimeError:
            self._running.discard(future)
            raise
        return future

    def _give(self, work: AwaitedCall) -> bool:
        """Hand the work to a thread that waits; return whether there was one."""
        with self._lock:
            if self._idle == 0:
                return False
            self._idle -= 1
            self._given.put(work)
            return True

    def _run(self, first: AwaitedCall) -> None:
        AwaitedCall(first.future, partial(self._prepared, first.call)).make()
        # Nothing of it is kept alive while the thread waits.
        del first
        while (work := self._wait_for_more()) is not None:
            work.make()
            del work

    def _prepared(self, call: Callable[[], Any]) -> Any:
        self._prepare()
        return call()

    def _wait_for_more(self) -> AwaitedCall | None:
        """Return further work, or None if none came for a while."""
        with self._lock:
            self._idle += 1
        try:
            return self._given.get(timeout=LINGER_S)
        except Empty:
            pass

        with self._lock:
            try:
                # It was given between the end of the wait and now.
                return self._given.get_nowait()
            except Empty:
                self._idle -= 1
                return None


_NO_ANSWER = "a file system does not answer; what is asked of it cannot be done now"

_questions = DaemonThreads("lorabay-ask")


async def ask(work: Callable[..., Result], *arguments: object) -> Result:
    """Do short work that asks a file system something, and return its result.

    Raises SetupError if the file system does not answer, or has not answered earlier questions.
    """
    if _questions.busy >= ASKED_AT_MOST:
        raise SetupError(_NO_ANSWER)

    thread = _questions.begin(work, *arguments)
    await asyncio.wait({thread}, timeout=PATIENCE_S)
    if not thread.done():
        raise SetupError(_NO_ANSWER)
    return thread.result()

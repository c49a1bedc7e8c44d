"""Threads for work that may never end: nothing waits for them when the process ends.

A file system that does not answer blocks a thread for ever, and nothing can stop it. The threads of
a `ThreadPoolExecutor` are joined when the process ends, and would keep it. Knows nothing of the
work; whoever gives it bounds how much there is at a time, or has it done by `ask`.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

PATIENCE_S = 10.0
"""How long `ask` waits for an answer: longer than a busy file server takes."""

ASKED_AT_MOST = 8
"""Questions that may wait for an answer; each costs a thread until it comes."""

Result = TypeVar("Result")


class DaemonThreads:
    """Threads of one name, one for each piece of work; `prepare` is called first in every one."""

    def __init__(self, name: str, prepare: Callable[[], object] = lambda: None) -> None:
        self._name = name
        self._prepare = prepare
        self._running: set[Future[Any]] = set()

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
        """Begin the work in a thread of its own, as executors do."""
        future: Future[Any] = Future()

        def run() -> None:
            # Given up before it began.
            if not future.set_running_or_notify_cancel():
                return
            try:
                self._prepare()
                result = work(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - raised again where the work is awaited
                future.set_exception(error)
            else:
                future.set_result(result)

        self._running.add(future)
        future.add_done_callback(self._running.discard)
        try:
            threading.Thread(target=run, name=self._name, daemon=True).start()
        except RuntimeError:
            self._running.discard(future)
            raise
        return future


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

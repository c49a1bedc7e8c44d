"""Work on a disk that may hang: done once at a time, and waited for only so long.

A thread that waits for a disk cannot be stopped. Whoever needs its result goes on after a while
without it, and the work ends when the disk lets it. Knows nothing of what the work is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from lorabay.errors import SetupError

WAIT_S = 10.0
"""How long a caller waits for the work."""

STOP_S = 2.0
"""How long the end of a server waits for it."""


class BoundedWork:
    """One kind of work; `what` says in an error what has not ended."""

    def __init__(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._what = what
        self._work = work
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """True while the work is under way, for whomever."""
        return self._task is not None and not self._task.done()

    async def run(self) -> None:
        """Begin the work unless it is under way, and wait for its end.

        Raises what the work raises, and SetupError if it does not end in time, and goes on, or if
        it is given up because the server ends.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
            # Marks a failure as seen: there may be nobody left who waits for it.
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

        task = self._task
        done, _ = await asyncio.wait({task}, timeout=WAIT_S)
        if not done:
            raise SetupError(
                f"{self._what} has not ended within {WAIT_S:.0f} s: the disk is slow, or hangs"
            )
        if task.cancelled():
            # Whoever waits was not cancelled, and must not look as if it had been.
            raise SetupError(f"{self._what} was given up: the server ends")
        task.result()

    async def stop(self) -> None:
        """Cancel the work, and wait a little for its end."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=STOP_S)

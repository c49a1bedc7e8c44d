"""An event loop whose clock jumps to the next timer when nothing else can happen, and that has no
threads.

Sleeps and time limits cost nothing, interleavings repeat exactly, and a wait that nothing can end
is an error.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class Deadlock(Exception):
    """Every task waits, and no timer is set."""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Deadlock
        if not ready and timeout is not None:
            self.now += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at second 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do the work when the loop next comes round, in its own thread."""
        future = self.create_future()
        self.call_soon(self._work, future, func, args)
        return future

    @staticmethod
    def _work(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if future.cancelled():
            return
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - goes to whoever asked for the work
            future.set_exception(error)


async def quiet() -> None:
    """Return when nothing more happens at this moment."""
    await asyncio.sleep(1e-3)

"""Orders the changes of adapters: one at a time for each adapter.

Serial: changes of one adapter; of several that wait for their turn only the last is made. Parallel:
changes of different adapters, so that one that waits (for room in the engine, for a slow disk)
holds up no other. Knows nothing of what a change does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

import structlog

logger = structlog.get_logger(__name__)

Change = Callable[[], Coroutine[Any, Any, None]]
"""A function that makes one change when it is called."""


class Turns:
    """The changes under way on one event loop, by the name of their adapter."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._next: dict[str, Change] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def turn(self, *names: str) -> AsyncIterator[None]:
        """Wait until nothing else changes these adapters, and keep it so."""
        async with AsyncExitStack() as locks:
            # Always in one order, so that two callers cannot wait for each other.
            for name in sorted(set(names)):
                await locks.enter_async_context(self._locks.setdefault(name, asyncio.Lock()))
            yield

    def start(self, name: str, change: Change) -> None:
        """Have `change` made in its turn, in place of one that still waits for its own."""
        self._next[name] = change
        if name in self._tasks:
            return

        task = self._tasks[name] = asyncio.create_task(self._make(name))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _make(self, name: str) -> None:
        try:
            while name in self._next:
                async with self.turn(name):
                    await self._next.pop(name)()
        except Exception:  # a bug in one adapter's change must not stop the others
            logger.exception("bug", adapter=name)
        finally:
            if self._tasks.get(name) is asyncio.current_task():
                del self._tasks[name]

    def cancel(self, name: str) -> None:
        """Cancel the change of an adapter that is under way, and drop the one that waits."""
        self._next.pop(name, None)
        if (task := self._tasks.pop(name, None)) is not None:
            task.cancel()

    async def idle(self) -> None:
        """Return when every change that has been started by now has ended."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def stop(self) -> None:
        """Cancel every change, and return when they have ended."""
        for name in tuple(self._tasks):
            self.cancel(name)
        await self.idle()

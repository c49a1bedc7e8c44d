"""Orders the changes of adapters: those of one adapter one after another, those of different
adapters side by side.

A change that waits (for a place in the engine, for a slow disk) therefore holds up no other
adapter. Of several changes of one adapter that wait for their turn only the last is made. Knows
nothing of what a change does.
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
"""Makes one change when called."""


class Changes:
    """The changes under way on one event loop."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._next: dict[str, Change] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def turn(self, *names: str) -> AsyncIterator[None]:
        """Wait until nothing else changes these adapters, and keep it so."""
        async with AsyncExitStack() as turns:
            for name in sorted(
                set(names)
            ):  # always in one order, so that two callers cannot wait for each other
                await turns.enter_async_context(self._turns.setdefault(name, asyncio.Lock()))
            yield

    def start(self, name: str, change: Change) -> None:
        """Have `change` made in its turn, instead of one that still waits for its own."""
        self._next[name] = change
        if name not in self._tasks:
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
        """Give up what is under way for an adapter and what waits; a change gets its chance to
        clean up.
        """
        self._next.pop(name, None)
        if (task := self._tasks.pop(name, None)) is not None:
            task.cancel()

    async def idle(self) -> None:
        """Return when every change that has been started by now has ended."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def stop(self) -> None:
        """Give up everything."""
        for name in tuple(self._tasks):
            self.cancel(name)
        await self.idle()

"""Follows which adapters vLLM has in its slots.

vLLM moves adapters in and out of slots within its own process, whenever a batch needs others. So it
is asked: after a load, and again and again while requests run. The answer is a moment old. Knows
nothing of versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

POLL_S = 0.5
"""Shortest time between two questions. Each costs the engine's loop well under a millisecond."""


class SlotWatch:
    """The adapters in the slots, by vLLM's ids.

    `ask` asks vLLM; `is_busy` returns whether requests run, which may bring others into slots.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Collection[int]]],
        is_busy: Callable[[], bool],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ask = ask
        self._is_busy = is_busy
        self._sleep = sleep
        self._stale = asyncio.Event()
        self._stale.set()
        self.held: frozenset[int] | None = None
        """None until the first answer."""

    def look_again(self) -> None:
        """Ask soon: an adapter was loaded or unloaded, or a request began."""
        self._stale.set()

    async def run(self) -> None:
        """Ask whenever there may be news, until cancelled; raises what `ask` raises."""
        while True:
            await self._stale.wait()
            self._stale.clear()

            # Looked at first: requests that end during the question may have moved adapters after
            # it was answered.
            was_busy = self._is_busy()
            self.held = frozenset(await self._ask())

            await self._sleep(POLL_S)
            if was_busy:
                self._stale.set()

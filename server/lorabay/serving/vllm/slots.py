"""Follows which adapters vLLM has in its slots, and tells it which ones are pinned.

vLLM moves adapters in and out of slots within its own process, whenever a batch needs others. So it
is asked: after a load, and again and again while requests run. The answer is a moment old. Pins go
along with each question: they matter only when adapters move. Knows nothing of versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

POLL_S = 0.5
"""Shortest time between two questions. Each costs the engine's loop well under a millisecond."""


async def adapters_in_slots(llm: AsyncLLM, pinned: Callable[[], list[int]]) -> list[int]:
    """Return vLLM's ids of the adapters in the slots of the first worker; all have the same.

    From now on those that `pinned` returns give up their slots last.
    """
    workers: list[list[int]] = await llm.collective_rpc("adapters_in_slots", args=(pinned(),))
    return workers[0]


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

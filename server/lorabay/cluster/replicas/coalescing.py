"""Messages that follow each other closely travel together.

Each trip between processes costs about a millisecond of both. The first message goes at once, and
so does one that comes after a pause, so nobody waits for a first token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

TOGETHER_S = 0.015
"""Seconds from one trip to the next; what comes meanwhile travels with it."""

T = TypeVar("T")


async def batches(
    queue: asyncio.Queue[T | None], together_s: float = TOGETHER_S
) -> AsyncGenerator[list[T]]:
    """Yield what comes out of a queue in batches, until None does."""
    loop = asyncio.get_running_loop()
    went_at = -together_s
    while (first := await queue.get()) is not None:
        wait_s = went_at + together_s - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

        batch = [first]
        is_last = False
        while not queue.empty():
            message = queue.get_nowait()
            if message is None:
                is_last = True
                break
            batch.append(message)

        went_at = loop.time()
        yield batch
        if is_last:
            return

"""Messages that follow each other closely travel together.

So what one step of an engine makes for all its requests is one trip between processes. The first
message goes at once, and so does one that comes after a pause. Where nothing comes for long, an
empty batch goes: a sign of life, for a host that is cut off says nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

TOGETHER_S = 0.003
"""Seconds from one trip to the next; what comes meanwhile travels with it."""
BEAT_S = 5.0
"""Seconds without a message after which an empty batch goes."""

T = TypeVar("T")


async def batches(
    queue: asyncio.Queue[T | None], together_s: float = TOGETHER_S, beat_s: float = BEAT_S
) -> AsyncGenerator[list[T]]:
    """Yield what comes out of a queue in batches, until None does."""
    loop = asyncio.get_running_loop()
    went_at = -together_s
    while True:
        try:
            async with asyncio.timeout(beat_s):
                first = await queue.get()
        except TimeoutError:
            yield []
            continue
        if first is None:
            return

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

"""Messages that follow each other closely travel together."""

from __future__ import annotations

import asyncio

from lorabay.cluster.replicas.coalescing import batches


async def collected(queue: asyncio.Queue[int | None], together_s: float) -> list[list[int]]:
    return [batch async for batch in batches(queue, together_s)]


async def test_what_waits_goes_in_one() -> None:
    queue: asyncio.Queue[int | None] = asyncio.Queue()
    for number in range(5):
        queue.put_nowait(number)
    queue.put_nowait(None)
    assert await collected(queue, 0.01) == [[0, 1, 2, 3, 4]]


async def test_the_first_does_not_wait_for_others() -> None:
    """It goes alone, and those that come while it is under way go together after it."""
    queue: asyncio.Queue[int | None] = asyncio.Queue()
    stream = batches(queue, together_s=0.02)
    queue.put_nowait(0)
    assert await anext(stream) == [0]
    for number in (1, 2, 3):
        queue.put_nowait(number)
    assert await anext(stream) == [1, 2, 3]
    queue.put_nowait(None)
    assert [batch async for batch in stream] == []


async def test_nothing_is_sent_of_an_end_alone() -> None:
    queue: asyncio.Queue[int | None] = asyncio.Queue()
    queue.put_nowait(None)
    assert await collected(queue, 0.01) == []


async def test_a_long_silence_has_signs_of_life() -> None:
    """Empty batches, and what comes after them is whole."""
    queue: asyncio.Queue[int | None] = asyncio.Queue()
    stream = batches(queue, together_s=0.0, beat_s=0.01)
    assert [await anext(stream) for _ in range(2)] == [[], []]
    for number in (1, None):
        queue.put_nowait(number)
    assert [batch async for batch in stream if batch] == [[1]]

"""Turns of folders on their way into the store."""

from __future__ import annotations

import asyncio

from lorabay.reconcile.reads.read_slots import ReadSlot, ReadSlots


async def begun(slots: ReadSlots) -> asyncio.Task[ReadSlot]:
    """Return a request for a slot that has had the time to be answered."""
    task = asyncio.create_task(slots.take())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_who_has_read_lets_another_read() -> None:
    """And waits for the disk beside it, up to so many."""
    slots = ReadSlots(1, under_way=2)
    first = await slots.take()
    second = await begun(slots)
    assert not second.done()
    first.has_read()
    first.has_read()
    waiting = await second
    third = await begun(slots)
    waiting.has_read()
    assert not (await begun(slots)).done()
    assert not third.done()
    first.close()
    first.close()
    (await third).close()
    waiting.close()


async def test_a_slot_that_is_given_back_is_anybodys() -> None:
    """Whether its folder was read to its end or not, and also if one who waited has left."""
    slots = ReadSlots(1, under_way=2)
    first = await slots.take()
    second = await begun(slots)
    second.cancel()
    await asyncio.wait({second})
    first.close()
    for _ in range(5):
        (await slots.take()).close()

"""Slots of folders on their way into the store: few are read at once, more of them wait for a disk.

What a folder holds takes memory while it is read and judged. What has been judged takes none: it
waits until it is on disk, and many that wait together take the disk little longer than one. Knows
nothing of how a folder is read.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

READS_AT_ONCE = 4
"""Folders that are read at the same time.

Enough to hide the disk's waits, few enough for a small host's memory.
"""

UNDER_WAY_AT_ONCE = 64
"""Folders that are read, or wait for the store's disk; each has a thread."""


class ReadSlot:
    """One folder's slot."""

    def __init__(self, reading: asyncio.Semaphore, under_way: asyncio.Semaphore) -> None:
        self._reading, self._whole = ExitStack(), ExitStack()
        self._reading.callback(reading.release)
        self._whole.callback(under_way.release)
        self._whole.callback(self._reading.close)

    def has_read(self) -> None:
        """Let another folder be read; idempotent."""
        self._reading.close()

    def close(self) -> None:
        """Give all of the slot to another folder; idempotent."""
        self._whole.close()


class ReadSlots:
    """All slots, which are given in the order in which they are asked for."""

    def __init__(self, at_once: int = READS_AT_ONCE, under_way: int = UNDER_WAY_AT_ONCE) -> None:
        self._reading = asyncio.Semaphore(at_once)
        self._under_way = asyncio.Semaphore(under_way)

    async def take(self) -> ReadSlot:
        """Return a slot, as soon as a folder may be read."""
        await self._under_way.acquire()
        try:
            await self._reading.acquire()
        except BaseException:
            self._under_way.release()
            raise
        return ReadSlot(self._reading, self._under_way)

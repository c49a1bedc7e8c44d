"""How fast a source may be asked: bytes a second, and pauses after failures.

Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Pauses before a source that failed is asked again: the first, and the longest."""

LASTING_PAUSE_S = 300.0
"""The pause after a failure that somebody has to mend."""


class Pace:
    """The bytes a second that all downloads of one source share; None for any number.

    A test brings its own clock and sleep.
    """

    def __init__(
        self,
        bytes_per_s: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0
        """When everything that was taken so far has had its time."""

    async def take(self, count: int) -> None:
        """Wait until as many bytes, which were read just now, have had their time."""
        if self._bytes_per_s is None:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now) + count / self._bytes_per_s
        await self._sleep(self._free_at - now)


def pause_after(failures: int, *, chance: Callable[[], float] = random.random) -> float:
    """Return the pause after so many failures in a row, at least one.

    It doubles each time, and up to half of it is left to chance: many servers that lost one bucket
    must not come back to it together.
    """
    longest = min(FIRST_PAUSE_S * 2.0 ** (failures - 1), LONGEST_PAUSE_S)
    return longest * (0.5 + chance() / 2)

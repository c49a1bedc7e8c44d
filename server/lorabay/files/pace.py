"""The pace of a thread's work beside others that are in a hurry: short bursts, and longer rests.

On a machine with few cores each burst stands in the way of a thread that computes tokens, and all
threads of a step wait for that one. What matters to a stream is how much of that falls into one
step. Knows nothing of the work, or of who is in a hurry.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_S = 0.002
"""Processor time of the thread between two rests."""

REST = 2.0
"""Length of a rest, in lengths of its burst: a third of a core is left to the work."""


class Pace:
    """The pace of one piece of work, in one thread, while `in_the_way` says so."""

    def __init__(
        self,
        in_the_way: Callable[[], bool],
        *,
        used: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._in_the_way = in_the_way
        self._used = used
        self._sleep = sleep
        self._rested: float | None = None

    def rest(self) -> None:
        """Rest if a burst is over; to be called often, by the thread that works."""
        now = self._used()
        if self._rested is None:
            self._rested = now
        burst = now - self._rested
        if burst < BURST_S:
            return

        if self._in_the_way():
            self._sleep(REST * burst)
        self._rested = self._used()

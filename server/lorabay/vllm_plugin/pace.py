"""The pace of work beside the engine's steps: short bursts, and rests that are longer.

On a machine with few cores each burst stands in the way of a thread that computes tokens, and the
others of a step wait for that thread. What matters to a stream is how much of that falls into one
step. So whoever works beside steps rests after each burst, while there are any. Knows nothing of
the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_S = 0.002
"""Processor time of a thread between two rests."""

REST = 2.0
"""Length of a rest, in lengths of its burst: a third of a core is left to the work."""

RHYTHM = 2.0
"""Times the interval between the last two steps within which the next one is expected."""

LEAST_S = 0.1
"""The shortest time in which it is."""

IDLE_S = 1.0
"""Interval between two steps from which on there was no stream in it."""

FIRST_S = 0.25
"""Time after a first step in which another one is expected."""


class Steps:
    """When the engine's last step began, and until when the next one is expected."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._expected_until = float("-inf")

    def note(self) -> None:
        """Note that a step begins."""
        now = self._clock()
        interval = now - self._began
        expected_s = FIRST_S if interval >= IDLE_S else max(RHYTHM * interval, LEAST_S)
        self._began = now
        self._expected_until = now + expected_s

    def are_running(self) -> bool:
        """Return whether streams wait for steps now."""
        return self._clock() < self._expected_until


class Pace:
    """The pace of one piece of work, in the thread that does it."""

    def __init__(
        self,
        steps: Steps,
        *,
        used: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._steps = steps
        self._used = used
        self._sleep = sleep
        self._rested = used()

    def rest(self) -> None:
        """Rest if a burst is over and steps are running; to be called often."""
        burst = self._used() - self._rested
        if burst < BURST_S:
            return

        if self._steps.are_running():
            self._sleep(REST * burst)
        self._rested = self._used()


steps = Steps()
"""The steps of this process's worker."""


def without_rest() -> None:
    """Stand for `Pace.rest` where a step waits for the work itself."""

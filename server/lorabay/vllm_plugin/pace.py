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

REST = 3.0
"""Length of a rest, in lengths of its burst: a quarter of a core is left to the work."""

STEP_S = 1.0
"""Time after the beginning of a step in which others are expected."""


class Steps:
    """When the engine's last step began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = float("-inf")

    def note(self) -> None:
        """Note that a step begins."""
        self._began = self._clock()

    def are_running(self) -> bool:
        """Return whether streams wait for steps now."""
        return self._clock() - self._began < STEP_S


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

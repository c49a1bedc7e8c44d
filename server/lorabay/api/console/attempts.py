"""Failed logins, counted for a minute: whoever guesses keys has to wait."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

from lorabay.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 60.0
MOST = 10
"""Failed logins of one address in that time."""

ADDRESSES = 1000
"""Addresses that are remembered; the one that failed longest ago goes first."""


class Attempts:
    """The failed logins of the last minute, by the address that they came from."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, deque[float]] = {}

    def check(self, address: str) -> None:
        """Raise RateLimited if too many logins from here have failed."""
        times = self._failed.get(address)
        if times is None or len(times) < MOST:
            return

        wait = times[0] + WINDOW_S - self._clock()
        if wait > 0:
            raise RateLimited(
                f"too many failed logins: try again in {math.ceil(wait)} s", retry_after=wait
            )

    def note_failure(self, address: str) -> None:
        """Count a failed login."""
        times = self._failed.pop(address, deque(maxlen=MOST))
        times.append(self._clock())
        self._failed[address] = times
        while len(self._failed) > ADDRESSES:
            del self._failed[next(iter(self._failed))]

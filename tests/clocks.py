"""A clock that only a test moves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Called for the time in seconds, as `time.monotonic` and `time.time` are."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

"""What part of the traffic each adapter has, where the past weighs less and less."""

from __future__ import annotations

HALF_LIFE_S = 10.0
"""Seconds after which a request counts half."""
_LARGEST = 1e150
_FORGOTTEN = 1e-6
"""The part of all traffic under which an adapter is not remembered."""


class Traffic:
    """Counts requests by their keys. Only a few numbers are kept for each key.

    Instead of making every old count smaller, each new request counts more than the one before.
    """

    def __init__(self, half_life_s: float = HALF_LIFE_S) -> None:
        self._half_life_s = half_life_s
        self._start: float | None = None
        self._total = 0.0
        self._counts: dict[str, float] = {}

    def note(self, key: str, now: float) -> None:
        """Count one request; `now` is in seconds, and never goes back."""
        if self._start is None:
            self._start = now

        count = 2.0 ** ((now - self._start) / self._half_life_s)
        if count > _LARGEST:
            self._begin_anew(now, count)
            count = 1.0

        self._counts[key] = self._counts.get(key, 0.0) + count
        self._total += count

    def share(self, key: str) -> float:
        """Return a key's part of all requests, 0 to 1."""
        return self._counts.get(key, 0.0) / self._total if self._total else 0.0

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._counts)

    def _begin_anew(self, now: float, scale: float) -> None:
        """Count in units of today, and forget those that are hardly asked for."""
        least = self._total * _FORGOTTEN
        kept = {key: count / scale for key, count in self._counts.items() if count > least}
        self._counts = kept
        self._total = sum(kept.values())
        self._start = now

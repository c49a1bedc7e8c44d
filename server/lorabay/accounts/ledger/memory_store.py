"""Tallies in the memory of one server, which end with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.tally import settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.accounts.ledger.store import Clock, Replies, Reports
    from lorabay.accounts.ledger.tally import Counter, Tally


def steady_clock() -> Clock:
    """Return a clock that shows the present time, and is not set: it goes on from now."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class MemoryStore:
    """Tallies by the names of their counters; `begin` makes each. Never fails and never blocks."""

    def __init__(
        self, clock: Clock | None = None, begin: Callable[[Counter], Tally] = lambda counter: {}
    ) -> None:
        self._clock = clock or steady_clock()
        self._begin = begin
        self._tallies: dict[str, Tally] = {}

    def settle(self, server: str, reports: Reports) -> Replies:
        """Settle the reports of a server."""
        now = self._clock()
        return {
            counter: settle(self._tally(counter), counter, server, report, now)
            for counter, report in reports.items()
        }

    def _tally(self, counter: Counter) -> Tally:
        if counter.name not in self._tallies:
            self._tallies[counter.name] = self._begin(counter)
        return self._tallies[counter.name]

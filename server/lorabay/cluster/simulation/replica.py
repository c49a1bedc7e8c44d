"""One replica as arithmetic: a window of requests, slots for adapters, and a queue in order."""

from __future__ import annotations

from collections import OrderedDict, deque

from lorabay.serving.popularity import Popularity


class SimulatedReplica:
    """Computes up to `window` requests at once, with up to `slots` adapters. Others wait in order.

    The adapter that is asked for least gives up its slot, unless it is in use: replicas count it
    with the very `Popularity` that is used here.
    """

    def __init__(self, window: int, slots: int) -> None:
        self._window = window
        self._slots = slots
        self._computing = 0
        self._now = 0.0
        self._popularity = Popularity(lambda: self._now)
        self.held: OrderedDict[int, int] = OrderedDict()
        """Adapters with a slot, the longest unused first, and how many requests use each."""
        self.waiting: deque[int] = deque()
        """Requests that have not begun, the first at the front."""

    def can_begin(self, adapter: int) -> bool:
        """Return whether a request of this adapter could begin now."""
        if self._computing >= self._window:
            return False
        return adapter in self.held or len(self.held) < self._slots or 0 in self.held.values()

    def begin(self, adapter: int, now: float) -> int | None:
        """Begin a request that can begin; return the adapter that lost its slot to it, if any."""
        self._computing += 1
        self._now = now
        lost = None
        if adapter not in self.held and len(self.held) >= self._slots:
            lost = self._least_wanted()
            del self.held[lost]

        self._popularity.use(adapter)
        self.held[adapter] = self.held.get(adapter, 0) + 1
        self.held.move_to_end(adapter)
        return lost

    def end(self, adapter: int) -> None:
        """End a request that has begun."""
        self._computing -= 1
        self.held[adapter] -= 1

    def _least_wanted(self) -> int:
        """Return the adapter not in use that is asked for least; of equal ones the first."""
        unused = [adapter for adapter, users in self.held.items() if users == 0]
        return min(unused, key=self._popularity.of)

"""The other servers of a cluster, as this one sees them: who lives, and whether the office is free.

Until a row has shown a second beat, nobody knows whether its server lives: a killed one leaves the
same. It counts as alive for a lease, since a change that did not wait for it could not be undone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lorabay.accounts.agreement.office import NOBODY
from lorabay.cluster.fronts.beats import Beats

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.accounts.agreement.names import View
    from lorabay.accounts.agreement.office import Holder

LOOK_S = 0.1
"""Time between two looks at what has been noted."""


GAP_S = 1.0
"""Time without a look after which nobody's silence counts: this server was paused, or the database
away, for the others as well.
"""


class Neighbours:
    """The servers of one cluster but for `front`, by the beats of the looks that are noted."""

    def __init__(self, front: str, lease_s: float, clock: Callable[[], float]) -> None:
        self._front = front
        self._clock = clock
        self._beats = Beats(lease_s)
        self._counts_unproved = True
        self._noted_at = clock()
        self.others: frozenset[str] = frozenset()
        """Those that live, or may."""

    def note(self, view: View) -> None:
        """Note how the cluster is now."""
        now = self._clock()
        gap_s = now - self._noted_at
        self._noted_at = now
        if gap_s > GAP_S:
            self._beats.shift(gap_s)
        if view.holder is not None:
            self._beats.note(_office(view.holder), view.holder.beat, now)
        for front, told in view.fronts.items():
            self._beats.note(front, told.beat, now)
        self.others = frozenset(front for front in view.fronts if self._counts(front, now))

    def _counts(self, front: str, now: float) -> bool:
        if front == self._front or not self._beats.is_alive(front, now):
            return False
        return self._counts_unproved or self._beats.has_beaten(front)

    def is_free(self, holder: Holder | None) -> bool:
        """Return whether nobody keeps the names: not yet, left, gone, or this server before an
        outage.
        """
        if holder is None or holder.front in (NOBODY, self._front):
            return True
        return not self._beats.is_alive(_office(holder), self._clock())

    def is_proved(self, holder: Holder) -> bool:
        """Return whether the keeper has shown that it lives."""
        return self._beats.has_beaten(_office(holder))

    async def prove(self, within_s: float) -> None:
        """Wait until each other server has shown a beat; whoever has not by then is gone."""
        until = self._clock() + within_s
        while self._clock() < until and not all(map(self._beats.has_beaten, self.others)):
            await asyncio.sleep(LOOK_S)
        self._counts_unproved = False
        self.others = frozenset(filter(self._beats.has_beaten, self.others))

    def take_silent(self, for_s: float) -> list[str]:
        """Return the servers that have been silent for so long, and forget them."""
        silent = self._beats.silent(for_s, self._clock())
        for server in silent:
            self._beats.forget(server)
        return silent


def _office(holder: Holder) -> str:
    """Return what the beats of a keeper are told by: each term has its own."""
    return f"term {holder.term}"

"""Which adapters compute in an engine with few slots, so that none waits without end for one.

A batch of vLLM computes with as many adapters as there are slots. While all of them are in use,
requests for further adapters wait in vLLM, and those for the adapters in use overtake them: for
ever, if there are enough. So no more adapters are let into the engine than have slots:

    adapter      its requests                    until
    HOLDS        may run                         the last one has ended
    DRAINS       end, and new ones wait          the last one has ended
    WAITS        wait                            a slot is free, and it has waited longest

When an adapter has waited as long as a request usually takes, the one that has held its slot
longest drains, unless it has requests of a higher priority. It goes on if nobody waits any more.

Pure: times are told. Knows nothing of what weights are, nor whether the engine has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorabay.catalog.versions import Digest
    from lorabay.serving.turns.flows import Priority

NEWEST_SHARE = 0.2
"""Weight of the request that ended last in how long one usually takes."""

SHORTEST_WAIT_S = 1e-3
"""A time that is not worth a timer."""


@dataclass(slots=True)
class _Holder:
    """An adapter with a slot, and the highest priority of its requests; new ones wait if it
    drains.
    """

    priority: Priority
    running: int = 0
    drains: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """The requests that wait for some weights: their highest priority, and the first's time."""

    weights: Digest
    priority: Priority
    since: float


class SlotRota:
    """The slots of one engine, and who holds them.

    An adapter is left its slot until another one has waited `drain_after_s`, or as long as a
    request usually takes if that is less. `slots` may be set to another number: where they become
    fewer than are held, nobody loses one, and more holders drain than wait.
    """

    def __init__(self, slots: int, *, drain_after_s: float) -> None:
        self.slots = slots
        self._drain_after_s = drain_after_s
        self.usual_s = drain_after_s
        """How long a request usually takes, in seconds."""
        self._holders: dict[Digest, _Holder] = {}
        """In the order in which they got their slots."""
        self._next: frozenset[Digest] = frozenset()
        """Those that may take the slots that are free."""

    def may_run(self, weights: Digest | None) -> bool:
        """Return whether a request for `weights` may begin; one for the base, None, always may."""
        if weights is None:
            return True
        holder = self._holders.get(weights)
        if holder is not None:
            return not holder.drains
        return weights in self._next

    def begin(self, weights: Digest | None, priority: Priority) -> None:
        """Note that a request begins, which may."""
        if weights is None:
            return
        if weights not in self._holders:
            self._holders[weights] = _Holder(priority)
            self._next -= {weights}
        holder = self._holders[weights]
        holder.running += 1
        holder.priority = min(holder.priority, priority)

    def end(self, weights: Digest | None, took_s: float) -> None:
        """Note that a request has ended after so long."""
        self.usual_s += NEWEST_SHARE * (took_s - self.usual_s)
        if weights is None:
            return
        holder = self._holders[weights]
        holder.running -= 1
        if holder.running == 0:
            del self._holders[weights]

    def look(self, lines: Iterable[Line], now: float) -> float | None:
        """Decide who may take the free slots and who drains; `lines` is who waits for weights.

        Returns the seconds after which it must be decided again, None if nobody's patience ends.
        """
        waiting = sorted(
            (line for line in lines if line.weights not in self._holders),
            key=lambda line: (line.priority, line.since),
        )
        left = self.slots - len(self._holders)
        free, surplus = max(0, left), max(0, -left)
        self._next = frozenset(line.weights for line in waiting[:free])

        without = waiting[free:]
        self._drain(without, surplus, now)
        waits = [self._patience_of(line, now) for line in without]
        return min((wait_s for wait_s in waits if wait_s >= SHORTEST_WAIT_S), default=None)

    def _patience_of(self, line: Line, now: float) -> float:
        """Return how long a line has still to wait until somebody drains for it, in seconds."""
        return line.since + min(self._drain_after_s, self.usual_s) - now

    def _drain(self, without: list[Line], surplus: int, now: float) -> None:
        """Let as many holders drain as wait too long, and let those go on that need not.

        A `surplus` of holders, beyond the slots, has to end before the first of the others begins.
        """
        # As if the first one waited for all of them.
        without = [*without[:1] * surplus, *without]
        draining = [holder for holder in self._holders.values() if holder.drains]
        for holder in draining[len(without) :]:
            holder.drains = False

        count = min(len(draining), len(without))
        impatient = [line for line in without if self._patience_of(line, now) < SHORTEST_WAIT_S]
        for line in impatient[count:]:
            for holder in self._holders.values():
                if not holder.drains and holder.priority >= line.priority:
                    holder.drains = True
                    break

"""A turn in the engine for each adapter, so that none waits without end for a slot.

A batch of vLLM computes with as many adapters as there are slots. While all of them are in use,
requests for further adapters wait in vLLM, and those for the adapters in use overtake them: for
ever, if there are enough. So no more adapters are let into the engine than have slots:

    adapter      its requests                    until
    HOLDS        run at once                     the last one has ended
    DRAINS       end, and new ones wait          the last one has ended
    WAITS        wait                            a slot is free, and it has waited longest

When an adapter has waited as long as a request usually takes, the one that has held its slot
longest drains. It goes on if nobody waits any more.

Serial, on one event loop. Knows nothing of what weights are, nor whether the engine has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version

RETRY_AFTER_S = 2.0
"""When a client should ask again that got no turn."""

NEWEST_SHARE = 0.2
"""Weight of the request that ended last in how long one usually takes."""


SHORTEST_WAIT_S = 1e-3
"""A time that is not worth a timer."""


class Turn:
    """One request's right to run on some weights; `waited` if it did not come at once."""

    __slots__ = ("_end", "waited")

    def __init__(self, end: Callable[[], None], *, waited: bool = False) -> None:
        self._end: Callable[[], None] | None = end
        self.waited = waited

    def end(self) -> None:
        """Give it back; idempotent."""
        end, self._end = self._end, None
        if end is not None:
            end()


@dataclass(slots=True)
class _Holder:
    """An adapter with a slot, since a time of the event loop; new requests wait if it drains."""

    since: float
    running: int = 0
    drains: bool = False


@dataclass(slots=True)
class _Line:
    """The requests that wait for one adapter's slot, the first of them since a time."""

    since: float
    requests: list[asyncio.Future[Turn]] = field(default_factory=list)


class SlotGate:
    """The gate in front of one engine with `slots`.

    A request waits at most `timeout_s`. An adapter is left its slot until another one has waited
    `drain_after_s`, or as long as a request usually takes if that is less. `waited` hears how long
    each request did that had to.
    """

    def __init__(
        self,
        slots: int,
        *,
        timeout_s: float,
        drain_after_s: float,
        waited: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._slots = slots
        self._timeout_s = timeout_s
        self._drain_after_s = drain_after_s
        self._waited = waited

        self._holders: dict[Digest, _Holder] = {}
        """In the order in which they got their slots."""
        self._lines: dict[Digest, _Line] = {}
        """In the order in which they began to wait."""
        self._usual_s = drain_after_s
        self._next_look: asyncio.TimerHandle | None = None

    async def take(self, version: Version) -> Turn:
        """Return a turn on the weights of `version`, as soon as they have a slot.

        Raises EngineUnavailable if that takes too long.
        """
        weights = version.weights
        if self._runs_at_once(weights):
            return self._begin(weights)

        asked = _now()
        request: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(weights, _Line(asked)).requests.append(request)
        self._look()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._wait(weights, request)
        except TimeoutError:
            raise EngineUnavailable(
                f"adapter {version.adapter!r} waits for one of {self._slots} slots, which others "
                "use; try again later",
                retry_after=RETRY_AFTER_S,
            ) from None
        finally:
            self._waited(_now() - asked)

    async def _wait(self, weights: Digest, request: asyncio.Future[Turn]) -> Turn:
        try:
            return await request
        except asyncio.CancelledError:
            # The turn may have come in the same moment.
            if request.done() and not request.cancelled():
                request.result().end()
            self._leave_line(weights, request)
            raise

    def _leave_line(self, weights: Digest, request: asyncio.Future[Turn]) -> None:
        line = self._lines.get(weights)
        if line is None or request not in line.requests:
            return
        line.requests.remove(request)
        if not line.requests:
            del self._lines[weights]
        self._look()

    def _runs_at_once(self, weights: Digest) -> bool:
        holder = self._holders.get(weights)
        if holder is not None:
            return not holder.drains
        # Whoever waits gets a free slot at once, so one that is left is for anybody.
        return self._has_free_slot

    @property
    def _has_free_slot(self) -> bool:
        return len(self._holders) < self._slots

    def _begin(self, weights: Digest, *, waited: bool = False) -> Turn:
        begun = _now()
        self._holders.setdefault(weights, _Holder(begun)).running += 1
        return Turn(lambda: self._end(weights, begun), waited=waited)

    def _end(self, weights: Digest, begun: float) -> None:
        self._usual_s += NEWEST_SHARE * (_now() - begun - self._usual_s)
        holder = self._holders[weights]
        holder.running -= 1
        if holder.running == 0:
            del self._holders[weights]
            self._look()

    def _look(self) -> None:
        """Give out free slots, and let others drain for whoever has waited long enough."""
        for weights in self._without_slot():
            if not self._has_free_slot:
                break
            self._let_in(weights)

        waiting = self._without_slot()
        draining = [weights for weights, holder in self._holders.items() if holder.drains]
        for weights in draining[len(waiting) :]:
            self._holders[weights].drains = False
            self._let_in(weights)

        patience_s = min(self._drain_after_s, self._usual_s)
        waits = [self._lines[weights].since + patience_s - _now() for weights in waiting]
        self._drain(sum(wait_s < SHORTEST_WAIT_S for wait_s in waits))
        self._look_again_in([wait_s for wait_s in waits if wait_s >= SHORTEST_WAIT_S])

    def _without_slot(self) -> list[Digest]:
        """Return the weights that have none, and whose requests wait; the oldest first."""
        return [weights for weights in self._lines if weights not in self._holders]

    def _let_in(self, weights: Digest) -> None:
        line = self._lines.pop(weights, _Line(0.0))
        for request in line.requests:
            if not request.done():  # else its client has left in this moment
                request.set_result(self._begin(weights, waited=True))

    def _drain(self, count: int) -> None:
        """Let so many holders drain in all."""
        draining = sum(holder.drains for holder in self._holders.values())
        for holder in self._holders.values():
            if draining >= count:
                return
            if not holder.drains:
                holder.drains = True
                draining += 1

    def _look_again_in(self, waits: list[float]) -> None:
        """Look again when the shortest of `waits`, in seconds, is over."""
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        if waits:
            loop = asyncio.get_running_loop()
            self._next_look = loop.call_later(min(waits), self._look)


def _now() -> float:
    return asyncio.get_running_loop().time()

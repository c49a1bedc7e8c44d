"""The gate in front of one engine: every request that computes takes a turn, and gives it back.

It lets as many requests into the engine as can run at once, and a few more, so that the engine
never waits for the next one; and few whose prompts it has still to read (`prompt_window`). The
others wait here, where it is decided who goes next: fairly between those who ask (`fair_queue`),
and among the adapters that have slots (`slot_rota`). What is in the engine's own queue is out of
reach: it goes in the order in which it came. Where it has a place for everybody, tenants keep pace
with one another (`pace`).

    newcomer     has a tenant with nothing in the engine, and goes at once, as long as no other
                 newcomer's prompt is unread there; the engine reads it before the others

Serial, on one event loop. Knows nothing of what weights are, nor whether the engine has them: they
are loaded in the turn.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lorabay.errors import EngineUnavailable, RateLimited
from lorabay.serving.turns.fair_queue import FairQueue
from lorabay.serving.turns.flows import Flow, Priority
from lorabay.serving.turns.pace import LATELY_S, Lately
from lorabay.serving.turns.prompt_window import PromptWindow
from lorabay.serving.turns.slot_rota import Line, SlotRota

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lorabay.catalog.versions import Digest, Version
    from lorabay.serving.engine import StepTokens

SOONEST_S, LATEST_S = 1.0, 60.0
"""Bounds of when a client should ask again that got no turn."""

AHEAD = 1 / 8
"""Sequences that wait in the engine's own queue, in parts of those that it computes at once: when
some end, others begin with the next step, before anybody here has heard of it.
"""

KEPT_PART = 8
"""One place more for so many that are shared: for tenants that have nothing in the engine. Whoever
asks once waits for no place then, however many have come before.
"""

ANYBODY = Flow("", "")
"""The flow of requests that nobody tells apart."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one gate lets through, and how much waits.

    `running` are sequences in the engine, None for as many as it computes at once and a few more;
    a few are kept beside them for tenants that have none. Of their prompts, as many as `unread` are
    not read yet, or what the engine reads in some steps.
    `waiting` are requests that wait, of everybody and of one tenant. A request waits at most
    `timeout_s` seconds.
    """

    timeout_s: float
    running: int | None = None
    waiting: int | None = None
    waiting_of_tenant: int | None = None
    unread: int = 4


class Waits(Protocol):
    """Hears of waits at a gate."""

    def waited(self, seconds: float, *, for_slot: bool) -> None:
        """Note a request that had to wait, at first for a slot or not, and goes or gives up now."""
        ...


class Observer(Waits, Protocol):
    """Hears what becomes of all requests at a gate."""

    def refused(self, reason: str) -> None:
        """Note a request that got no turn: `full`, `tenant_full` or `timeout`."""
        ...


class NoObserver:
    """An observer that hears nothing."""

    def waited(self, seconds: float, *, for_slot: bool) -> None:
        """Do nothing."""

    def refused(self, reason: str) -> None:
        """Do nothing."""


NOBODY = NoObserver()


class Turn:
    """One request's right to run; the engine should read the prompt of a newcomer first."""

    __slots__ = ("_end", "_read", "_settle", "is_newcomer")

    def __init__(
        self,
        read: Callable[[], None],
        end: Callable[[], None],
        settle: Callable[[float], None],
        *,
        is_newcomer: bool = False,
    ) -> None:
        self._read: Callable[[], None] | None = read
        self._end: Callable[[], None] | None = end
        self._settle: Callable[[float], None] | None = settle
        self.is_newcomer = is_newcomer

    def read(self) -> None:
        """Note that the engine has read the prompt: others may be read; idempotent."""
        read, self._read = self._read, None
        if read is not None:
            read()

    def end(self) -> None:
        """Give it back; idempotent."""
        self.read()
        end, self._end = self._end, None
        if end is not None:
            end()

    def settle(self, cost: float) -> None:
        """Charge what the request has cost in place of what was guessed; idempotent."""
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(cost)


@dataclass(eq=False, slots=True)
class _Request:
    """A request that waits, since a time of the event loop."""

    flow: Flow
    weights: Digest | None
    cost: float
    prompt: int
    sequences: int
    spent: Callable[[], float]
    since: float
    turn: asyncio.Future[Turn]


class TurnGate:
    """The gate in front of one engine with `slots`; for `drain_after_s` see `SlotRota`.

    `computes` returns how many sequences the engine computes at once, `reads` how many tokens of
    prompts it reads in a step; None while nobody knows. `slots_now` returns how many slots there
    are where they come and go; None for `slots`. From `pace_from` sequences on, tenants keep pace;
    None for never. Call `look_again` when one of these has become another.
    """

    def __init__(
        self,
        slots: int,
        bounds: Bounds,
        *,
        drain_after_s: float,
        computes: Callable[[], int | None] = lambda: None,
        reads: Callable[[], StepTokens | None] = lambda: None,
        slots_now: Callable[[], int | None] = lambda: None,
        pace_from: Callable[[], int | None] = lambda: None,
        observer: Observer | None = None,
    ) -> None:
        self._bounds = bounds
        self._computes = computes
        self._pace_from = pace_from
        self._window = PromptWindow(bounds.unread, reads)
        self._newcomer: _Request | None = None
        """The one whose prompt the engine has still to read."""
        self._slots = slots
        self._slots_now = slots_now
        self._rota = SlotRota(slots, drain_after_s=drain_after_s)
        self._observer = observer or NOBODY
        self._queue: FairQueue[_Request] = FairQueue()
        self._lately = Lately()
        """How many sequences have had a turn at once."""
        self._is_paced = False
        """Whether tenants keep pace now."""
        self._begun: set[_Request] = set()
        """Those that went and are not settled."""
        self._next_look: asyncio.TimerHandle | None = None
        self.running = 0
        """Sequences of requests that have a turn."""

    @property
    def waiting(self) -> int:
        """Requests that wait for a turn."""
        return len(self._queue)

    def look_again(self) -> None:
        """Let requests go that may now: the engine takes other numbers than before."""
        self._hand_over()

    async def take(
        self,
        version: Version | None,
        flow: Flow = ANYBODY,
        *,
        cost: float = 0.0,
        prompt: int = 0,
        sequences: int = 1,
        spent: Callable[[], float] = lambda: 0.0,
        waits: Waits = NOBODY,
    ) -> Turn:
        """Return a turn on the weights of `version`, None for the base's own.

        The request of `flow` will probably have this `cost`, see `flows.cost`, a `prompt` of so
        many tokens, and make so many `sequences`; `spent` returns what it has cost so far. `waits`
        hears if it has to wait. Raises EngineUnavailable if too many wait or the turn does not come
        in time, RateLimited if too many of the same tenant wait.
        """
        weights = None if version is None else version.weights
        turn: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        request = _Request(flow, weights, cost, prompt, sequences, spent, _now(), turn)
        self._queue.enter(flow, request, weights)
        self._hand_over()
        if turn.done():
            return turn.result()

        self._check_room(request)
        for_slot = not self._rota.may_run(weights)
        try:
            async with asyncio.timeout(self._bounds.timeout_s):
                return await self._wait(request)
        except TimeoutError:
            self._observer.refused("timeout")
            raise self._too_late(version if for_slot else None) from None
        finally:
            seconds = _now() - request.since
            self._observer.waited(seconds, for_slot=for_slot)
            waits.waited(seconds, for_slot=for_slot)

    def _check_room(self, request: _Request) -> None:
        """Turn a request away that has to wait, if too many do."""
        most, of_tenant = self._bounds.waiting, self._bounds.waiting_of_tenant
        if of_tenant is not None and self._queue.of_tenant(request.flow.tenant) > of_tenant:
            self._leave(request)
            self._observer.refused("tenant_full")
            raise RateLimited(
                f"{of_tenant} requests of the same tenant wait for the engine, and more may not; "
                "try again later, or send fewer at once",
                retry_after=self._retry_after_s,
            )

        if most is not None and len(self._queue) > most:
            self._leave(request)
            self._observer.refused("full")
            raise EngineUnavailable(
                f"{most} requests wait for the engine, and more may not; try again later",
                retry_after=self._retry_after_s,
            )

    async def _wait(self, request: _Request) -> Turn:
        try:
            return await request.turn
        except asyncio.CancelledError:
            # The turn may have come in the same moment.
            if request.turn.done() and not request.turn.cancelled():
                request.turn.result().end()
                request.turn.result().settle(0.0)
            self._leave(request)
            raise

    def _leave(self, request: _Request) -> None:
        if self._queue.leave(request.flow, request, request.weights):
            self._hand_over()

    def _too_late(self, version: Version | None) -> EngineUnavailable:
        """Return the error for a turn that has not come in time, of `version` if it was waiting for
        a slot at first.
        """
        if version is None:
            message = f"the engine is busy with {self.running} sequences, and others wait"
        else:
            message = (
                f"adapter {version.adapter!r} waits for one of {self._rota.slots} slots, which "
                "others use"
            )
        return EngineUnavailable(f"{message}; try again later", retry_after=self._retry_after_s)

    @property
    def _retry_after_s(self) -> float:
        """How long a request usually takes, within bounds: then others will have ended."""
        return min(max(self._rota.usual_s, SOONEST_S), LATEST_S)

    def _hand_over(self) -> None:
        """Let requests into the engine, while it has room and there are any that may go."""
        look_in_s = self._look()
        while (request := self._next()) is not None:
            if request.turn.cancelled():
                # Its client has left in this moment.
                self._queue.end(request.flow, -request.cost)
                continue
            self._begin(request)
            look_in_s = self._look()
        self._look_again_in(look_in_s)

    def _next(self) -> _Request | None:
        """Take the next request that may go out of the queue; None if there is none."""
        if not self._queue:
            return None
        bound = self._bound
        if bound is not None and self.running >= bound + bound // KEPT_PART:
            return None
        return self._queue.go(self._may_go, lambda request: request.cost, self._spent())

    @property
    def _bound(self) -> int | None:
        """Sequences that may be in the engine; None for any number."""
        if self._bounds.running is not None:
            return self._bounds.running
        computes = self._computes()
        return None if computes is None else computes + math.ceil(AHEAD * computes)

    def _spent(self) -> Mapping[str, float]:
        """Return what the requests that run have cost so far, by tenant, if it matters."""
        spent: defaultdict[str, float] = defaultdict(float)
        if self._is_paced:
            for request in self._begun:
                spent[request.flow.tenant] += request.spent()
        return spent

    def _may_go(self, request: _Request) -> bool:
        return (
            self._is_read_soon(request.flow)
            and self._has_place(request.flow)
            and self._rota.may_run(request.weights)
        )

    def _is_read_soon(self, flow: Flow) -> bool:
        """Return whether the engine would read a prompt of `flow` within some steps."""
        if self._window.has_room(is_shared=self._queue.is_shared):
            return True
        return self._may_be_newcomer(flow) and not self._queue.running(flow)

    def _may_be_newcomer(self, flow: Flow) -> bool:
        """Return whether the engine may read a prompt of `flow` before others: one at a time, and
        none of a low priority.
        """
        return self._newcomer is None and flow.priority != Priority.LOW

    def _has_place(self, flow: Flow) -> bool:
        """Return whether a flow's tenant has a place; some are kept for those that have none yet.

        A request of many sequences may pass the bound, so that it need not wait for many places.
        """
        bound = self._bound
        return bound is None or self.running < bound or not self._queue.running(flow)

    def _look(self) -> float | None:
        """Have it decided who gets slots, and who keeps pace; return the seconds until it must be
        again.
        """
        slots = self._slots_now()
        self._rota.slots = self._slots if slots is None else slots
        slots_in_s = self._rota.look(self._lines(), _now())
        self._is_paced = self._keep_pace()
        if not self._is_paced or not self._queue:
            return slots_in_s
        return LATELY_S if slots_in_s is None else min(slots_in_s, LATELY_S)

    def _keep_pace(self) -> bool:
        """Have it decided who keeps pace; return whether anybody may be held back by that."""
        pace_from = self._pace_from()
        if pace_from is None:
            return False

        now = _now()
        self._lately.note(self.running, now)
        is_crowded = self._lately.most(now) >= pace_from
        return self._queue.keep_pace(pace_from if is_crowded else math.inf, now)

    def _lines(self) -> Iterable[Line]:
        """Return who waits for which weights."""
        lines: dict[Digest, Line] = {}
        for request in self._queue.heads():
            if request.weights is None:
                continue
            line = Line(request.weights, request.flow.priority, request.since)
            other = lines.get(request.weights, line)
            lines[request.weights] = Line(
                line.weights, min(line.priority, other.priority), min(line.since, other.since)
            )
        return lines.values()

    def _begin(self, request: _Request) -> None:
        begun = _now()
        self._begun.add(request)
        self.running += request.sequences
        self._window.enter(request.prompt)
        self._rota.begin(request.weights, request.flow.priority)
        is_newcomer = self._queue.running(request.flow) == 1 and self._may_be_newcomer(request.flow)
        if is_newcomer:
            self._newcomer = request

        def read() -> None:
            self._window.read(request.prompt)
            if self._newcomer is request:
                self._newcomer = None
            self._hand_over()

        def end() -> None:
            self.running -= request.sequences
            self._window.end()
            self._rota.end(request.weights, _now() - begun)
            self._hand_over()

        def settle(cost: float) -> None:
            self._begun.remove(request)
            self._queue.end(request.flow, cost - request.cost)
            self._hand_over()

        request.turn.set_result(Turn(read, end, settle, is_newcomer=is_newcomer))

    def _look_again_in(self, seconds: float | None) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._next_look = loop.call_later(seconds, self._hand_over)


def _now() -> float:
    return asyncio.get_running_loop().time()

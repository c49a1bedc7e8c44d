"""Who waits how long for a slot in a simulated engine, beside two adapters that never rest.

Time is simulated: a wait costs nothing, and figures repeat exactly. Two rules are compared: that of
our gate, and vLLM's, by which requests for adapters in use overtake those that need a slot.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from pathlib import Path
from typing import Protocol

from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import AdapterSpec, Digest, Version
from lorabay.errors import EngineUnavailable
from lorabay.serving.turns.turn_gate import Bounds, Turn, TurnGate

SLOTS, CLIENTS, REQUEST_S = 2, 4, 0.5
"""So many clients of each busy adapter, which ask again as soon as they have their answer."""

COLD_REQUESTS = 20
LONGEST_WAIT_S = 100 * REQUEST_S
"""When the cold adapter's client gives up; its wait is then this long."""

BUSY, COLD = ("first", "second"), "cold"


class Gate(Protocol):
    """Lets requests into the engine."""

    async def take(self, version: Version) -> Turn:
        """Return when a request for these weights may run; raises EngineUnavailable if too late."""
        ...


class VllmRule:
    """vLLM's scheduler, as far as slots go: in the order of arrival, but whoever needs a slot while
    all are in use is passed over.
    """

    def __init__(self) -> None:
        self._running: Counter[Digest] = Counter()
        self._waiting: list[tuple[Digest, asyncio.Future[None]]] = []

    async def take(self, version: Version) -> Turn:
        """Return when the request is scheduled."""
        scheduled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((version.weights, scheduled))
        self._schedule()
        try:
            async with asyncio.timeout(LONGEST_WAIT_S):
                await scheduled
        except TimeoutError:
            raise EngineUnavailable("never scheduled", retry_after=1.0) from None
        return Turn(lambda: None, lambda: self._end(version.weights), lambda cost: None)

    def _end(self, weights: Digest) -> None:
        self._running[weights] -= 1
        self._running = +self._running
        self._schedule()

    def _schedule(self) -> None:
        passed_over = []
        for weights, scheduled in self._waiting:
            if scheduled.done():
                continue
            if weights in self._running or len(self._running) < SLOTS:
                self._running[weights] += 1
                scheduled.set_result(None)
            else:
                passed_over.append((weights, scheduled))
        self._waiting = passed_over


def our_gate() -> Gate:
    """Return the gate of our server, with its default patience."""
    return TurnGate(SLOTS, Bounds(LONGEST_WAIT_S), drain_after_s=2.0)


def worst_wait(gate: Gate) -> float:
    """Return the cold adapter's longest wait, in times of a request."""
    with asyncio.Runner(loop_factory=_SimulatedTime) as runner:
        return runner.run(_worst_wait(gate)) / REQUEST_S


async def _worst_wait(gate: Gate) -> float:
    busy = [
        asyncio.create_task(_never_rest(gate, _version(name), number * REQUEST_S / CLIENTS))
        for name in BUSY
        for number in range(CLIENTS)
    ]
    # The gate learns how long requests take.
    await asyncio.sleep(20 * REQUEST_S)

    waits = []
    for number in range(COLD_REQUESTS):
        # At another moment of the others' requests each time.
        await asyncio.sleep((3 + number / COLD_REQUESTS) * REQUEST_S)
        waits.append(await _ask(gate, _version(COLD)))
        if waits[-1] >= LONGEST_WAIT_S:
            break

    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    return max(waits)


async def _never_rest(gate: Gate, version: Version, begin_s: float) -> None:
    await asyncio.sleep(begin_s)
    while True:
        await _ask(gate, version)


async def _ask(gate: Gate, version: Version) -> float:
    """Have one request answered; return how long it waited before it ran, in seconds."""
    now = asyncio.get_running_loop().time
    asked = now()
    try:
        turn = await gate.take(version)
    except EngineUnavailable:
        return now() - asked

    waited = now() - asked
    try:
        await asyncio.sleep(REQUEST_S)
    finally:
        turn.end()
    return waited


def _version(name: str) -> Version:
    digest = Digest(name)
    spec = AdapterSpec(digest, "lora", 16, 32.0, (), "bfloat16", 0, weights_digest=digest)
    return Version(AdapterName(name), spec, Path())


class _Jumping(selectors.SelectSelector):
    """Lets the clock jump to the next timer instead of waiting for it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; nothing but timers ever is."""
        self.now += timeout or 0.0
        return super().select(0)


class _SimulatedTime(asyncio.SelectorEventLoop):
    """Begins at second 0."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the simulated time in seconds."""
        return self._jumping.now

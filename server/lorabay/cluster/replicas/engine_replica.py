"""One replica: an engine with its own slots and places, which answers what fronts hand to it.

A request takes a turn and has its weights loaded here, where the slots are. The front has decided
who goes first, and settles what it cost. Everything runs on one event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Set as AbstractSet
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.cluster.replicas.messages import (
    Begun,
    Counted,
    Died,
    Event,
    Facts,
    Failed,
    Message,
    PromptRead,
    Spent,
    Whole,
)
from lorabay.errors import CallNotServed, EngineUnavailable, LorabayError
from lorabay.serving.engine import CALLS, Answer, Meter, Usage
from lorabay.serving.holds import Holds
from lorabay.serving.residency import Hooks, Residency
from lorabay.serving.turns.turn_gate import Bounds, TurnGate

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version
    from lorabay.cluster.replicas.messages import Errand, Question
    from lorabay.serving.engine import Call, Engine

TELL_S = 0.25
"""The time after which a front hears what a request has cost whose answer has not begun."""

_CALLS = {call.name: call for call in CALLS}


@dataclass(frozen=True, slots=True)
class Room:
    """What one replica has room for: adapters in its memory, and of these in slots."""

    capacity: int
    slots: int
    load_timeout_s: float = 30.0
    concurrent_loads: int = 2
    queue_timeout_s: float = 60.0
    slot_wait_s: float = 1.0


class EngineReplica:
    """An engine that fronts hand their requests to."""

    def __init__(self, engine: Engine, room: Room) -> None:
        self.engine = engine
        self._room = room
        self._pinned: frozenset[Digest] = frozenset()
        self._running: Counter[Digest] = Counter()
        self._versions: dict[Digest, Version] = {}
        self._asked = 0
        self._found = 0
        self._holds = Holds(freed=lambda: self._residency.look_for_room())  # noqa: PLW0108
        self._residency = Residency(
            engine,
            room.capacity,
            Hooks(in_use=self._holds.on, held=self._holds.on, pinned=lambda: self._pinned),
            load_timeout_s=room.load_timeout_s,
            concurrent_loads=room.concurrent_loads,
        )
        self._gate = TurnGate(
            room.slots,
            Bounds(room.queue_timeout_s),
            drain_after_s=room.slot_wait_s,
            computes=lambda: engine.max_sequences,
            reads=lambda: engine.reads_at_once,
        )
        engine.keep_in_slots(lambda: self._pinned)

    async def start(self) -> None:
        """Bring the engine up; raises SetupError if it cannot run as configured."""
        await self.engine.start()

    async def stop(self) -> None:
        """End the loads and the engine; idempotent."""
        await self._residency.stop()
        await self.engine.stop()

    def facts(self) -> Facts:
        """Return what fronts must know of the engine."""
        engine = self.engine
        slots = engine.slots()
        return Facts(
            engine.max_model_len,
            engine.max_sequences,
            engine.reads_at_once,
            engine.compiled,
            frozenset(call.name for call in CALLS if self._answers(call)),
            frozenset() if slots is None else slots.held,
            self._room.capacity,
            self._room.slots,
        )

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the schemas of bodies, which never change; to make them takes a second."""
        return self.engine.schemas()

    def stats(self) -> dict[str, Any]:
        """Return what routers choose by, as JSON: the weights that are here, and those in use.

        Of the requests `asked` with an adapter, so many have `found` its weights here.
        """
        return {
            "held": sorted(self._residency.placed()),
            "running": {weights: count for weights, count in self._running.items() if count},
            "places": self._room.capacity,
            "window": self.engine.max_sequences or 1,
            "asked": self._asked,
            "found": self._found,
            "pid": os.getpid(),
        }

    async def prepare(self, errand: Errand) -> None:
        """Load a version; raises AdapterRejected or EngineUnavailable."""
        await self._load(errand.version)

    async def prepare_successor(self, version: Version) -> bool:
        """Load a version if another one of its adapter is here; return whether it is here now."""
        resident = self._residency.resident()
        has_another = any(
            known.adapter == version.adapter and weights in resident
            for weights, known in self._versions.items()
        )
        if has_another:
            await self._load(version, swap=True)
        return version.weights in self._residency.resident()

    async def forget(self, version: Version) -> None:
        """Drop a version's weights unless they are in use."""
        await self._residency.drop(version)
        self._versions.pop(version.weights, None)

    def pin(self, weights: AbstractSet[Digest]) -> None:
        """Let these weights give up their places last."""
        self._pinned = frozenset(weights)

    async def answer(self, question: Question, send: Callable[[Message], None]) -> None:
        """Send the messages that answer a request; a cancelled call aborts the generation."""
        has_begun = False
        try:
            async with self._ready(question) as meter:
                # Whatever comes to a dead engine has not killed it.
                self.engine.check()
                has_begun = True
                await self._run(question, meter, send)
        except LorabayError as error:
            send(Died(error) if has_begun and self._is_gone() else Failed(error))

    def _is_gone(self) -> bool:
        try:
            self.engine.check()
        except EngineUnavailable:
            return True
        return False

    @asynccontextmanager
    async def _ready(self, question: Question) -> AsyncIterator[Meter]:
        """Hold a turn and the weights, as far as the call needs them, while the block lasts."""
        meter = Meter(goes_first=question.goes_first)
        version = question.version
        if not _CALLS[question.call].computes:
            yield meter
            return

        turn = await self._gate.take(version)
        meter.was_read = turn.read
        try:
            with self._held(version):
                if version is not None:
                    self._asked += 1
                    self._found += version.weights in self._residency.resident()
                    await self._load(version)
                yield meter
        finally:
            turn.end()
            turn.settle(0.0)

    @contextmanager
    def _held(self, version: Version | None) -> Iterator[None]:
        """Keep the weights of a version here, and count a request of it, while the block lasts."""
        if version is None:
            yield
            return

        hold = self._holds.take(version)
        self._running[version.weights] += 1
        try:
            yield
        finally:
            self._running[version.weights] -= 1
            hold.release()

    async def _load(self, version: Version, *, swap: bool = False) -> None:
        await self._residency.ensure(version, swap=swap)
        self._versions[version.weights] = version

    async def _run(self, question: Question, meter: Meter, send: Callable[[Message], None]) -> None:
        end_of_turn = meter.was_read

        async def admit(prompt_tokens: int) -> None:
            send(Counted(prompt_tokens))

        def was_read() -> None:
            end_of_turn()
            send(PromptRead())

        meter.admit, meter.was_read = admit, was_read
        async with _telling(meter, send):
            answer = await self.engine.run(
                _CALLS[question.call],
                question.body,
                question.version,
                request_id=question.request_id,
                headers=question.headers,
                meter=meter,
            )
        if isinstance(answer, Answer):
            send(Whole(answer))
            return

        send(Begun())
        try:
            async for event in answer:
                send(Event(event))
                send(Spent(answer.usage))
        finally:
            await answer.aclose()
            send(Spent(answer.usage))

    def _answers(self, call: Call) -> bool:
        try:
            self.engine.check_call(call)
        except CallNotServed:
            return False
        return True


@asynccontextmanager
async def _telling(meter: Meter, send: Callable[[Message], None]) -> AsyncIterator[None]:
    """Tell what a request has cost while the block lasts, and when it fails.

    A front whose client leaves before a whole answer knows its cost from this alone.
    """
    told = Usage()

    def tell() -> None:
        nonlocal told
        usage = meter.read()
        if usage != told:
            told = usage
            send(Spent(usage))

    async def keep_telling() -> None:
        while True:
            await asyncio.sleep(TELL_S)
            tell()

    telling = asyncio.create_task(keep_telling())
    try:
        yield
    except LorabayError:
        tell()
        raise
    finally:
        telling.cancel()

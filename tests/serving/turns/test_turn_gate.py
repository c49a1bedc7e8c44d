"""Turns of requests in an engine that runs few at once, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.errors import EngineUnavailable, RateLimited
from lorabay.serving.engine import StepTokens
from lorabay.serving.turns.flows import Flow, Priority
from lorabay.serving.turns.turn_gate import Bounds, TurnGate
from tests.examples import examples
from tests.versions import make_version
from tests.virtual_time import VirtualTimeLoop, quiet

A, B = Flow("a", "finance"), Flow("b", "finance")
FINANCE, SHOP = make_version("finance", "f"), make_version("shop", "e")


@dataclass
class Heard:
    """An observer that keeps what it hears."""

    waits: list[tuple[float, bool]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def waited(self, seconds: float, *, for_slot: bool) -> None:
        self.waits.append((seconds, for_slot))

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)


def gate(
    running: int | None = 2,
    *,
    slots: int = 8,
    timeout_s: float = 1_000.0,
    waiting: int | None = None,
    of_tenant: int | None = None,
    heard: Heard | None = None,
) -> TurnGate:
    bounds = Bounds(timeout_s, running, waiting, of_tenant)
    return TurnGate(slots, bounds, drain_after_s=1_000.0, observer=heard)


async def ask(the_gate: TurnGate, flow: Flow, seconds: float, cost: float = 10.0) -> float:
    """Have one request run for so long; return how long it waited."""
    now = asyncio.get_running_loop().time
    asked = now()
    turn = await the_gate.take(FINANCE, flow, cost=cost)
    waited = now() - asked
    await asyncio.sleep(seconds)
    turn.end()
    turn.settle(cost)
    return waited


def start(work: Coroutine[Any, Any, float]) -> asyncio.Task[float]:
    return asyncio.create_task(work)


async def test_an_engine_with_room_takes_everybody_at_once() -> None:
    """Without a bound any number, and nobody has waited."""
    heard = Heard()
    the_gate = gate(None, heard=heard)
    for _ in range(100):
        await the_gate.take(FINANCE, A)
    assert the_gate.running == 100
    assert not heard.waits


async def test_a_request_hears_of_its_own_wait_alone() -> None:
    """As the gate's observer hears of everybody's; who goes at once hears nothing."""
    everybody, first, second = Heard(), Heard(), Heard()
    the_gate = gate(1, heard=everybody)
    turn = await the_gate.take(FINANCE, A, waits=first)
    waiting = asyncio.create_task(the_gate.take(FINANCE, A, waits=second))
    await asyncio.sleep(5)
    turn.end()
    await waiting
    assert first.waits == []
    assert second.waits == everybody.waits == [(5, False)]


async def test_the_engine_is_never_left_waiting() -> None:
    """A place that is free is taken in the same moment, as long as anybody waits."""
    the_gate = gate(3)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.gather(*(ask(the_gate, flow, 5.0) for flow in (A, B) for _ in range(15)))
    assert loop.time() - begun == pytest.approx(5.0 * 30 / 3, abs=0.1)


async def test_the_bound_follows_the_engine() -> None:
    """As many as it computes at once and an eighth more, so that it never waits for others."""
    computes: list[int | None] = [None]
    bounds = Bounds(timeout_s=5.0)
    the_gate = TurnGate(8, bounds, drain_after_s=1.0, computes=lambda: computes[0])
    for _ in range(20):
        await the_gate.take(FINANCE, A)
    computes[0] = 20
    for _ in range(3):
        await the_gate.take(FINANCE, A)
    with pytest.raises(EngineUnavailable):
        await the_gate.take(FINANCE, A)


async def test_an_engine_that_grows_takes_those_that_wait() -> None:
    """As soon as the gate hears of it."""
    computes = [8]
    the_gate = TurnGate(8, Bounds(5.0), drain_after_s=1.0, computes=lambda: computes[0])
    for _ in range(9):
        await the_gate.take(FINANCE, A)
    waiting = start(ask(the_gate, A, 1.0))
    await quiet()
    assert the_gate.waiting == 1
    computes[0] = 16
    the_gate.look_again()
    assert the_gate.waiting == 0
    await waiting


async def test_one_stream_beside_a_flood_waits_for_one_place() -> None:
    """A has 64 requests; B, which asks for one at a time, overtakes those that wait."""
    the_gate = gate(8)
    flood = [start(ask(the_gate, A, 1.0 + number / 64)) for number in range(64)]
    await quiet()
    waits = [await ask(the_gate, B, 0.2) for _ in range(10)]
    assert max(waits) < 1.5
    assert the_gate.waiting > 0
    await asyncio.gather(*flood)


async def test_whoever_has_nothing_in_the_engine_finds_a_place_kept() -> None:
    """One for eight that are shared; with a request in it, a tenant waits as others do."""
    the_gate = gate(8)
    for _ in range(8):
        await the_gate.take(FINANCE, A)
    late = asyncio.create_task(the_gate.take(FINANCE, A))
    only = await the_gate.take(FINANCE, B)
    again = asyncio.create_task(the_gate.take(FINANCE, B))
    third = asyncio.create_task(the_gate.take(FINANCE, Flow("c", "finance")))
    await quiet()
    assert (the_gate.running, the_gate.waiting) == (9, 3)
    only.settle(0.0)
    only.end()
    await quiet()
    assert [task.done() for task in (late, again, third)] == [False, True, False]


def reading(*, unread: int = 2) -> TurnGate:
    """Return a gate of an engine that reads ten tokens in a step."""
    bounds = Bounds(1_000.0, unread=unread)
    return TurnGate(8, bounds, drain_after_s=1_000.0, reads=lambda: StepTokens(10, 10))


async def test_few_prompts_are_in_the_engine_that_it_has_still_to_read() -> None:
    """As soon as one is read the next goes, whether its answer has ended or not."""
    the_gate = reading()
    turns = [await the_gate.take(FINANCE, A, prompt=100) for _ in range(2)]
    later = [asyncio.create_task(the_gate.take(FINANCE, A, prompt=100)) for _ in range(3)]
    await quiet()
    assert (the_gate.running, the_gate.waiting) == (2, 3)
    for _ in range(2):
        turns[0].read()
    await quiet()
    assert [task.done() for task in later] == [True, False, False]
    turns[0].end()
    await quiet()
    assert the_gate.waiting == 2
    turns[1].end()
    await quiet()
    assert [task.done() for task in later] == [True, True, False]


async def test_while_one_flow_asks_all_its_prompts_go_that_some_whole_steps_read() -> None:
    """As soon as another one waits or runs, few do."""
    bounds = Bounds(1_000.0, unread=1)
    the_gate = TurnGate(8, bounds, drain_after_s=1_000.0, reads=lambda: StepTokens(10, 100))
    for _ in range(4):
        await the_gate.take(FINANCE, A, prompt=100)
    later = asyncio.create_task(the_gate.take(FINANCE, A, prompt=100))
    await quiet()
    assert not later.done()
    later.cancel()

    shared = TurnGate(8, bounds, drain_after_s=1_000.0, reads=lambda: StepTokens(10, 100))
    (await shared.take(FINANCE, B, prompt=100)).read()
    await shared.take(FINANCE, A, prompt=100)
    later = asyncio.create_task(shared.take(FINANCE, A, prompt=100))
    await quiet()
    assert not later.done()
    later.cancel()


async def test_a_newcomer_goes_before_prompts_that_wait() -> None:
    """One at a time, and the engine hears of it; a tenant that has something there waits."""
    the_gate = reading()
    first, second = [await the_gate.take(FINANCE, A, prompt=100) for _ in range(2)]
    assert (first.is_newcomer, second.is_newcomer) == (True, False)
    first.read()
    again = await the_gate.take(FINANCE, A, prompt=100)
    waits = asyncio.create_task(the_gate.take(FINANCE, A, prompt=100))
    newcomer = await the_gate.take(FINANCE, B, prompt=100)
    other = asyncio.create_task(the_gate.take(FINANCE, Flow("c", "finance"), prompt=100))
    await quiet()
    assert newcomer.is_newcomer
    assert [task.done() for task in (waits, other)] == [False, False]

    newcomer.read()
    await quiet()
    assert [task.done() for task in (waits, other)] == [False, True]
    assert other.result().is_newcomer
    assert not again.is_newcomer


async def test_a_newcomer_of_low_priority_waits_as_others_do() -> None:
    """It gets what is left."""
    the_gate = reading(unread=1)
    await the_gate.take(FINANCE, A, prompt=100)
    low = asyncio.create_task(the_gate.take(FINANCE, Flow("x", "shop", Priority.LOW), prompt=1))
    await quiet()
    assert not low.done()
    low.cancel()


async def test_a_request_of_many_sequences_takes_as_many_places() -> None:
    """It may pass the bound, so that it need not wait until so many are free at once."""
    the_gate = gate(4)
    first = await the_gate.take(FINANCE, A, sequences=3)
    second = await the_gate.take(FINANCE, A, sequences=16)
    third = asyncio.create_task(the_gate.take(FINANCE, A))
    await quiet()
    assert the_gate.running == 19
    first.end()
    await quiet()
    assert not third.done()
    second.end()
    await quiet()
    assert third.done()


async def test_too_many_that_wait_are_refused() -> None:
    """Of everybody with 503, of one tenant with 429; whoever can go at once always may."""
    heard = Heard()
    the_gate = gate(1, waiting=3, of_tenant=2, heard=heard)
    tasks = [start(ask(the_gate, flow, 5.0)) for flow in (A, A, A, B)]
    await quiet()
    with pytest.raises(RateLimited, match="2 requests of the same tenant wait") as limited:
        await the_gate.take(FINANCE, A)
    with pytest.raises(EngineUnavailable, match="3 requests wait for the engine") as full:
        await the_gate.take(FINANCE, B)
    assert limited.value.retry_after == full.value.retry_after == 60.0
    assert heard.reasons == ["tenant_full", "full"]
    assert the_gate.waiting == 3
    await asyncio.gather(*tasks)
    assert await ask(the_gate, A, 1.0) == 0.0


async def test_a_wait_ends_with_an_answer() -> None:
    """The client is told what it waited for, and takes up no place."""
    heard = Heard()
    the_gate = gate(1, slots=1, timeout_s=5.0, heard=heard)
    turn = await the_gate.take(FINANCE, A)
    with pytest.raises(EngineUnavailable, match="the engine is busy with 1 sequences"):
        await the_gate.take(FINANCE, B)
    with pytest.raises(EngineUnavailable, match="adapter 'shop' waits for one of 1 slots"):
        await the_gate.take(SHOP, B)
    assert heard.reasons == ["timeout", "timeout"]
    assert heard.waits == [(pytest.approx(5.0), False), (pytest.approx(5.0), True)]
    assert the_gate.waiting == 0
    turn.end()
    assert the_gate.running == 0


async def test_a_higher_class_goes_first() -> None:
    """Whoever came first."""
    the_gate = gate(1)
    turn = await the_gate.take(FINANCE, A)
    low, high = (Flow("x", "finance", priority) for priority in (Priority.LOW, Priority.HIGH))
    later = [asyncio.create_task(the_gate.take(FINANCE, flow)) for flow in (low, high)]
    await quiet()
    turn.end()
    await quiet()
    assert [task.done() for task in later] == [False, True]


async def test_many_that_leave_in_one_moment_leave_nothing_behind() -> None:
    """Just as a place becomes free: the one that stays gets it."""
    the_gate = gate(1)
    turn = await the_gate.take(FINANCE, A)
    leaving = [asyncio.create_task(the_gate.take(FINANCE, A)) for _ in range(3_000)]
    await quiet()
    stays = asyncio.create_task(the_gate.take(FINANCE, B))
    await quiet()
    for task in leaving:
        task.cancel()
    turn.end()
    await quiet()
    assert all(task.cancelled() for task in leaving)
    assert stays.done()
    assert (the_gate.running, the_gate.waiting) == (1, 0)


async def test_a_turn_is_settled_once() -> None:
    """What was guessed too high is given back, and ending it again takes nothing from others."""
    the_gate = gate(1)
    turn = await the_gate.take(FINANCE, A, cost=1_000.0)
    waiting = [asyncio.create_task(the_gate.take(FINANCE, flow)) for flow in (A, B)]
    await quiet()
    for _ in range(2):
        turn.settle(0.0)
    for _ in range(2):
        turn.end()
    await quiet()
    assert [task.done() for task in waiting] == [True, False]


MOST = 3
"""Sequences of one request."""

requests = st.lists(
    st.tuples(
        st.sampled_from([A, B, Flow("b", "shop", Priority.LOW), Flow("c", "shop", Priority.HIGH)]),
        st.sampled_from([None, FINANCE, SHOP]),
        st.floats(0.0, 2.0),  # seconds after the one before
        st.floats(0.01, 4.0),  # that it runs
        st.none() | st.floats(0.0, 5.0),  # after which the client leaves
        st.integers(1, MOST),
    ),
    max_size=40,
)


@settings(max_examples=examples(40), deadline=None)
@given(requests, st.integers(1, 4), st.integers(1, 2))
def test_bounds_hold_and_nothing_is_left_over(
    asked: list[tuple[Flow, Any, float, float, float | None, int]], running: int, slots: int
) -> None:
    """Whoever leaves when; every request that stays is answered, and the gate is empty after."""

    async def play() -> None:
        the_gate = TurnGate(slots, Bounds(1_000.0, running), drain_after_s=1.0)
        adapters: Counter[Any] = Counter()
        answered = 0

        async def one(flow: Flow, version: Any, seconds: float, sequences: int) -> None:
            nonlocal answered
            turn = await the_gate.take(version, flow, cost=seconds, sequences=sequences)
            adapters[version] += 1
            # The last one to go may pass the bound, before the first one has heard of its turn.
            assert the_gate.running < running + MOST
            assert sum(count > 0 for name, count in adapters.items() if name) <= slots
            try:
                await asyncio.sleep(seconds)
                answered += 1
            finally:
                adapters[version] -= 1
                turn.end()
                turn.settle(2 * seconds)

        tasks, stay = [], 0
        for flow, version, after, seconds, leaves, sequences in asked:
            await asyncio.sleep(after)
            task = asyncio.create_task(one(flow, version, seconds, sequences))
            tasks.append(task)
            stay += leaves is None
            if leaves is not None:
                asyncio.get_running_loop().call_later(leaves, task.cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [error for error in outcomes if isinstance(error, Exception)]
        assert answered >= stay
        assert (the_gate.running, the_gate.waiting) == (0, 0)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())

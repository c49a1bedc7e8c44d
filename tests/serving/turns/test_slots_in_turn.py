"""Turns of adapters in an engine with few slots, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.catalog.versions import Version
from lorabay.errors import EngineUnavailable
from lorabay.serving.turns.turn_gate import Bounds, TurnGate
from tests.slots import few_slots
from tests.versions import make_version
from tests.virtual_time import VirtualTimeLoop, quiet

A, B, C, D, E = ADAPTERS = tuple(make_version(name, name) for name in "abcde")
LONG_S = 1000.0


class Clients:
    """Clients of one gate; `waits` are the seconds that requests waited, by adapter."""

    def __init__(self, gate: TurnGate) -> None:
        self.gate = gate
        self.running: Counter[Version] = Counter()
        self.waits: dict[Version, list[float]] = {version: [] for version in ADAPTERS}
        self.most = 0

    async def ask(self, version: Version, seconds: float) -> None:
        """One request that runs for so long."""
        now = asyncio.get_running_loop().time
        asked = now()
        turn = await self.gate.take(version)
        self.waits[version].append(now() - asked)
        self.running[version] += 1
        self.most = max(self.most, sum(count > 0 for count in self.running.values()))
        try:
            await asyncio.sleep(seconds)
        finally:
            self.running[version] -= 1
            turn.end()

    async def saturate(self, version: Version, seconds: float) -> None:
        """One client that asks again and again, until it is cancelled."""
        while True:
            await self.ask(version, seconds)


def gate(slots: int, *, timeout_s: float = LONG_S, drain_after_s: float = LONG_S) -> TurnGate:
    return few_slots(slots, timeout_s=timeout_s, drain_after_s=drain_after_s)


def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work)


async def test_adapters_with_slots_run_at_once() -> None:
    """Any number of their requests; a further adapter waits until one of them has ended."""
    clients = Clients(gate(2))
    tasks = [start(clients.ask(version, 10.0)) for version in (A, A, B, A)]
    await quiet()
    tasks.append(start(clients.ask(C, 1.0)))
    await quiet()
    assert clients.running == {A: 3, B: 1}
    await asyncio.gather(*tasks)
    assert clients.waits[C] == [pytest.approx(10.0, abs=0.01)]
    assert clients.most == 2


async def test_whoever_has_waited_longest_is_next() -> None:
    """With all of its requests that have come meanwhile."""
    clients = Clients(gate(1))
    tasks = []
    for version in (A, B, C, B):
        tasks.append(start(clients.ask(version, 5.0)))
        await quiet()
    await asyncio.sleep(6.0)
    assert +clients.running == {B: 2}
    await asyncio.sleep(5.0)
    assert +clients.running == {C: 1}
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("seconds", [0.5, 4.0])
async def test_a_cold_adapter_waits_two_requests_at_most(seconds: float) -> None:
    """Beside two that never rest, which vLLM alone would let run for ever."""
    clients = Clients(gate(2, drain_after_s=30.0))
    busy = [start(clients.saturate(version, seconds)) for version in (A, B) for _ in range(4)]
    await asyncio.sleep(40 * seconds)
    for _ in range(5):
        await clients.ask(C, seconds)
        await asyncio.sleep(3 * seconds)
    assert max(clients.waits[C]) <= 2.1 * seconds
    assert max(clients.waits[A] + clients.waits[B]) <= 3.1 * seconds
    for task in busy:
        task.cancel()


async def test_an_adapter_runs_on_when_nobody_waits_any_more() -> None:
    """The one that waited has left: new requests need not wait until all others have ended."""
    clients = Clients(gate(1, drain_after_s=1.0))
    first = start(clients.ask(A, 50.0))
    await quiet()
    left = start(clients.ask(B, 1.0))
    await asyncio.sleep(2.0)
    late = start(clients.ask(A, 1.0))
    await quiet()
    assert clients.running == {A: 1}

    left.cancel()
    await quiet()
    assert clients.running == {A: 2}
    await asyncio.gather(first, late)


async def test_a_wait_ends_with_an_answer() -> None:
    """After the time limit the client is told to come again, and takes up no place."""
    clients = Clients(gate(1, timeout_s=5.0))
    first = start(clients.ask(A, 20.0))
    await quiet()
    with pytest.raises(EngineUnavailable, match="adapter 'b' waits for one of 1 slots") as raised:
        await clients.ask(B, 1.0)
    assert raised.value.retry_after
    await clients.ask(A, 1.0)
    await first
    await clients.ask(B, 1.0)
    assert clients.waits[B] == [0.0]


async def test_a_turn_that_comes_as_its_client_leaves_is_not_lost() -> None:
    """The slot goes to the next one."""
    the_gate = gate(1)
    turn = await the_gate.take(A)
    leaves, stays = start(_take(the_gate, B)), start(_take(the_gate, C))
    await quiet()
    turn.end()
    leaves.cancel()
    await quiet()
    assert leaves.cancelled()
    assert stays.done()


async def _take(the_gate: TurnGate, version: Version) -> None:
    await the_gate.take(version)


async def test_a_turn_ends_once() -> None:
    """Ending it again takes nothing from others."""
    clients = Clients(gate(1))
    turn = await clients.gate.take(A)
    other = await clients.gate.take(A)
    turn.end()
    turn.end()
    waiting = start(clients.ask(B, 1.0))
    await quiet()
    assert not clients.running[B]
    other.end()
    await waiting


LONGEST_S, DRAIN_S = 4.0, 2.0
requests = st.lists(
    st.tuples(
        st.sampled_from(ADAPTERS),
        st.floats(0.0, 3.0),  # seconds after the one before
        st.floats(0.01, LONGEST_S),
        st.none() | st.floats(0.0, 5.0),  # seconds after which the client leaves
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(requests, st.integers(1, 4))
def test_everybody_gets_a_turn_within_a_bound(
    asked: list[tuple[Version, float, float, float | None]], slots: int
) -> None:
    """Never more adapters run than there are slots; nothing is left over at the end."""

    async def play() -> Clients:
        clients = Clients(gate(slots, drain_after_s=DRAIN_S))
        tasks = []
        for version, after, seconds, leaves in asked:
            await asyncio.sleep(after)
            task = start(clients.ask(version, seconds))
            tasks.append(task)
            if leaves is not None:
                asyncio.get_running_loop().call_later(leaves, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        # All slots are free again.
        await asyncio.gather(*(clients.ask(version, 0.1) for version in ADAPTERS[:slots]))
        return clients

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        clients = runner.run(play())
    assert clients.most <= slots
    ahead = -(-len(ADAPTERS) // slots)
    bound = ahead * (DRAIN_S + LONGEST_S)
    assert max(max(waits, default=0.0) for waits in clients.waits.values()) <= bound
    assert all(clients.waits[version][-1] == 0.0 for version in ADAPTERS[:slots])


async def test_slots_that_come_are_taken_at_once() -> None:
    """As soon as the gate hears of them; those that go are not given out again."""
    slots = [1]
    the_gate = TurnGate(1, Bounds(LONG_S), drain_after_s=LONG_S, slots_now=lambda: slots[0])
    clients = Clients(the_gate)
    asked = [start(clients.ask(version, 10.0)) for version in (A, B, C)]
    await quiet()
    assert clients.running == {A: 1}
    slots[0] = 2
    the_gate.look_again()
    await quiet()
    assert clients.running == {A: 1, B: 1}

    slots[0] = 1
    the_gate.look_again()
    await asyncio.gather(*asked[:2])
    await quiet()
    assert clients.running == {A: 0, B: 0, C: 1}
    await asked[2]
    assert clients.most == 2


@settings(max_examples=60, deadline=None)
@given(requests, st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(1, 4)), max_size=5))
def test_everybody_gets_a_turn_while_slots_come_and_go(
    asked: list[tuple[Version, float, float, float | None]], changes: list[tuple[float, int]]
) -> None:
    """Within the bound of the fewest slots; never more adapters run than there were slots."""
    slots = [2]

    async def play() -> Clients:
        the_gate = TurnGate(9, Bounds(LONG_S), drain_after_s=DRAIN_S, slots_now=lambda: slots[-1])

        def change(count: int) -> None:
            slots.append(count)
            the_gate.look_again()

        clients = Clients(the_gate)
        for when, count in changes:
            asyncio.get_running_loop().call_later(when, change, count)
        tasks = []
        for version, after, seconds, leaves in asked:
            await asyncio.sleep(after)
            tasks.append(start(clients.ask(version, seconds)))
            if leaves is not None:
                asyncio.get_running_loop().call_later(leaves, tasks[-1].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        return clients

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        clients = runner.run(play())
    assert clients.most <= max(slots)
    assert clients.gate.waiting == clients.gate.running == 0
    ahead = -(-len(ADAPTERS) // min(slots))
    bound = ahead * (DRAIN_S + LONGEST_S)
    assert max(max(waits, default=0.0) for waits in clients.waits.values()) <= bound

"""Who gets how much of an engine that runs everybody at once, in virtual time.

Prompts are read in slices of 256 tokens: none has to wait, and there are more places than streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.serving.engine import StepTokens
from lorabay.serving.turns.flows import Flow, Priority
from lorabay.serving.turns.pace import LATELY_S
from lorabay.serving.turns.turn_gate import Bounds, TurnGate
from tests.examples import examples
from tests.serving.turns.played_engine import WHOLE, Clients, PlayedEngine
from tests.virtual_time import VirtualTimeLoop

PROMPT, SLICE, PLACES = 40, 256, 128
PACE_FROM = 32
FILLS_S, WATCHED_S = 20.0, 120.0

Crowd = tuple[Flow, int, int]
"""A flow, its streams, and the tokens of an answer."""

ONE, OTHER = Flow("one", "finance"), Flow("other", "finance")
THREE = Flow("three", "finance", tenant_weight=3.0)


@asynccontextmanager
async def crowded(
    crowds: Sequence[Crowd], pace_from: int | None = PACE_FROM
) -> AsyncIterator[Clients]:
    """Return clients of an engine that crowds keep busy, as soon as it is full."""
    gate = TurnGate(
        8,
        Bounds(1e6),
        drain_after_s=1e6,
        computes=lambda: PLACES,
        reads=lambda: StepTokens(SLICE, WHOLE),
        pace_from=lambda: pace_from,
    )
    clients = Clients(gate, PlayedEngine(slice_tokens=SLICE))
    tasks = [asyncio.create_task(clients.engine.run())]
    for flow, streams, tokens in crowds:
        tasks += [
            asyncio.create_task(clients.keep_asking(flow, PROMPT, tokens)) for _ in range(streams)
        ]
    await asyncio.sleep(FILLS_S)
    clients.got.clear()
    yield clients
    for task in tasks:
        task.cancel()


async def shares(*crowds: Crowd, pace_from: int | None = PACE_FROM) -> tuple[list[float], float]:
    """Return what each tenant gets for its weight, and tokens a second of all."""
    async with crowded(crowds, pace_from) as clients:
        before = clients.engine.generated
        await asyncio.sleep(WATCHED_S)
    got = [clients.got[flow.tenant] / flow.tenant_weight for flow, _, _ in crowds]
    return got, (clients.engine.generated - before) / WATCHED_S


def jain(got: Sequence[float]) -> float:
    """Return Jain's index of fairness."""
    return sum(got) ** 2 / (len(got) * sum(one**2 for one in got))


async def test_weights_count_among_streams_that_all_could_run() -> None:
    """Three to one; without a pace, streams count."""
    got, _ = await shares((ONE, 32, 24), (THREE, 32, 24))
    assert got[1] == pytest.approx(got[0], rel=0.05)
    got, _ = await shares((ONE, 32, 24), (THREE, 32, 24), pace_from=None)
    assert 3 * got[1] == pytest.approx(got[0], rel=0.1)


async def test_it_costs_what_the_streams_that_wait_would_have_added() -> None:
    """A third of all streams wait, which is the least with which the shares can be kept."""
    crowds = (ONE, 32, 24), (THREE, 32, 24)
    _, paced = await shares(*crowds)
    _, free = await shares(*crowds, pace_from=None)
    _, least = await shares((ONE, 11, 24), (THREE, 32, 24), pace_from=None)
    assert paced >= 0.99 * least
    assert paced >= 0.92 * free


async def test_equal_tenants_with_as_many_streams_lose_next_to_nothing() -> None:
    """Their answers have other lengths; what they get is the same."""
    names_and_tokens = zip("abcd", (16, 24, 32, 64), strict=True)
    crowds = [(Flow(name, "finance"), 16, tokens) for name, tokens in names_and_tokens]
    got, paced = await shares(*crowds)
    unpaced, free = await shares(*crowds, pace_from=None)
    assert jain(got) >= 0.999 > jain(unpaced)
    assert paced >= 0.97 * free


@pytest.mark.parametrize(
    "crowds",
    [
        [(ONE, 64, 48)],
        [(ONE, 64, 48), (OTHER, 12, 48)],
        [(ONE, 64, 48), (THREE, 12, 48)],
        [(ONE, 10, 48), (THREE, 10, 48)],
    ],
)
async def test_nobody_is_held_back_for_one_that_gets_all_it_asks_for(crowds: list[Crowd]) -> None:
    """A tenant that is alone, or beside others that ask for less than their part."""
    paced, free = await shares(*crowds), await shares(*crowds, pace_from=None)
    assert paced == free


async def test_what_a_tenant_leaves_is_the_others_within_a_second() -> None:
    """All its streams end at once; then only prompts that are not read yet have to wait."""
    leaves = asyncio.Event()

    async def beside(clients: Clients) -> None:
        """Keep asking until it is time to leave."""
        while not leaves.is_set():
            await clients.ask(THREE, PROMPT, 24)

    async with crowded([(ONE, 64, 24)]) as clients:
        tasks = [asyncio.create_task(beside(clients)) for _ in range(32)]
        await asyncio.sleep(FILLS_S)
        assert clients.gate.running < 32 + 16
        leaves.set()
        await asyncio.gather(*tasks)
        await asyncio.sleep(2 * LATELY_S + 0.2)
        assert clients.gate.running > 64 - 16


async def test_one_that_comes_gains_nothing_by_having_been_away() -> None:
    """It does not make up for what it did not ask: the other one goes on beside it."""
    async with crowded([(ONE, 64, 24)]) as clients:
        tasks = [asyncio.create_task(clients.keep_asking(OTHER, PROMPT, 24)) for _ in range(32)]
        await asyncio.sleep(10.0)
        clients.got.clear()
        await asyncio.sleep(60.0)
        for task in tasks:
            task.cancel()
    assert clients.got["one"] == pytest.approx(clients.got["other"], rel=0.1)


async def test_a_higher_priority_does_not_keep_pace_with_a_lower_one() -> None:
    """Weights count within a priority."""
    low = Flow("low", "finance", Priority.LOW)
    got, _ = await shares((low, 32, 24), (THREE, 32, 24))
    assert 3 * got[1] == pytest.approx(got[0], rel=0.15)


tenants = st.lists(
    st.tuples(st.sampled_from([1.0, 2.0, 3.0]), st.integers(1, 40), st.sampled_from([8, 24, 60])),
    min_size=2,
    max_size=4,
)


@settings(max_examples=examples(4), deadline=None)
@given(tenants)
def test_whoever_asks_for_its_part_gets_it(drawn: list[tuple[float, int, int]]) -> None:
    """Twice its part of the room, to be sure of it: those tenants get the same for their weights,
    within a tenth; everybody gets something; and the room stays full.
    """
    crowds = [
        (Flow(f"t{number}", "finance", tenant_weight=weight), streams, tokens)
        for number, (weight, streams, tokens) in enumerate(drawn)
    ]

    async def play() -> tuple[list[float], list[int]]:
        running: list[int] = []

        async def watch(clients: Clients) -> None:
            while True:
                await asyncio.sleep(0.1)
                running.append(clients.gate.running)

        async with crowded(crowds) as clients:
            watching: asyncio.Task[Any] = asyncio.create_task(watch(clients))
            await asyncio.sleep(WATCHED_S / 2)
            watching.cancel()
        return [clients.got[flow.tenant] / flow.tenant_weight for flow, _, _ in crowds], running

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        got, running = runner.run(play())

    weights = sum(flow.tenant_weight for flow, _, _ in crowds)
    full = [
        one
        for one, (flow, streams, _) in zip(got, crowds, strict=True)
        if streams >= 2 * PACE_FROM * flow.tenant_weight / weights
    ]
    if full:
        assert jain(full) >= 0.95
        assert max(full) <= 1.1 * min(full)
    assert min(got) > 0
    asked = sum(streams for _, streams, _ in crowds)
    assert sum(running) / len(running) >= 0.95 * min(asked, PACE_FROM)

"""How soon a first token comes, and who gets how much, behind a gate, in virtual time."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from lorabay.serving.engine import StepTokens
from lorabay.serving.turns.flows import Flow
from lorabay.serving.turns.turn_gate import Bounds, TurnGate
from tests.serving.turns.played_engine import SLICE, WHOLE, Clients, PlayedEngine

PROMPT, TOKENS, STREAMS = 40, 48, 64
ROWS = 128
A, B = Flow("a", "finance"), Flow("b", "finance")


@asynccontextmanager
async def crowded(
    *crowds: tuple[Flow, int, int], gated: bool = True, newcomers_first: bool = True
) -> AsyncIterator[Clients]:
    """Return clients of an engine that crowds of (flow, streams, tokens) keep busy."""
    reads = (lambda: StepTokens(SLICE, WHOLE)) if gated else (lambda: None)
    gate = TurnGate(8, Bounds(1e6), drain_after_s=1e6, computes=lambda: ROWS, reads=reads)
    clients = Clients(gate, PlayedEngine(newcomers_first=newcomers_first))
    tasks = [asyncio.create_task(clients.engine.run())]
    for flow, streams, tokens in crowds:
        tasks += [
            asyncio.create_task(clients.keep_asking(flow, PROMPT, tokens)) for _ in range(streams)
        ]
    await asyncio.sleep(30.0)
    yield clients
    for task in tasks:
        task.cancel()


async def first_tokens(clients: Clients, flow: Flow) -> float:
    """Return the median time to the first token, of requests at any moments."""
    dice, times = random.Random(1), []
    for _ in range(100):
        await asyncio.sleep(dice.random())
        times.append(await clients.ask(flow, PROMPT, 4))
    return statistics.median(times)


async def measured(*, gated: bool, newcomers_first: bool) -> tuple[float, float]:
    """Return how many times as long B waits beside A's streams as alone, and tokens a second."""
    async with crowded(gated=gated, newcomers_first=newcomers_first) as clients:
        alone = await first_tokens(clients, B)
    async with crowded(
        (A, STREAMS, TOKENS), gated=gated, newcomers_first=newcomers_first
    ) as clients:
        before = clients.engine.generated
        await asyncio.sleep(60.0)
        rate = (clients.engine.generated - before) / 60.0
        return await first_tokens(clients, B) / alone, rate


async def test_one_stream_beside_64_has_its_first_token_soon() -> None:
    """Without the gate it waits behind all prompts of the other tenant, and behind the gate alone
    for a step of all streams; the streams get what they did.
    """
    beside, rate = await measured(gated=True, newcomers_first=True)
    ungated, free_rate = await measured(gated=False, newcomers_first=False)
    beside_streams, _ = await measured(gated=True, newcomers_first=False)
    assert beside <= 2.0
    assert beside_streams > 4.0
    assert ungated > 20.0
    assert rate >= 0.99 * free_rate


@pytest.mark.parametrize("lengths", [(16, 24, 32, 64), (48, 48, 48, 48), (4, 8, 100, 100)])
async def test_tenants_that_never_rest_get_the_same(lengths: Sequence[int]) -> None:
    """Whatever the length of their answers, as long as prompts have to wait."""
    tenants = [Flow(name, "finance") for name in "abcd"]
    crowds = [(flow, 16, tokens) for flow, tokens in zip(tenants, lengths, strict=True)]
    async with crowded(*crowds) as clients:
        clients.got.clear()
        await asyncio.sleep(120.0)
    costs = [clients.got[flow.tenant] for flow in tenants]
    jain = sum(costs) ** 2 / (len(costs) * sum(cost**2 for cost in costs))
    assert jain >= 0.95


async def test_tenants_share_by_their_weights() -> None:
    """One of weight 3 gets three times as much as one of weight 1."""
    three = Flow("three", "finance", tenant_weight=3.0)
    async with crowded((A, 32, 24), (three, 32, 24)) as clients:
        clients.got.clear()
        await asyncio.sleep(120.0)
    assert clients.got["three"] / clients.got["a"] == pytest.approx(3.0, rel=0.1)

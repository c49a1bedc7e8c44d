"""The gate that a server makes of its settings, and what it records."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from lorabay.errors import EngineUnavailable, RateLimited, SetupError
from lorabay.metrics import Metrics
from lorabay.server.turns import choose_shares, make_gate
from lorabay.serving.engine import StepTokens
from lorabay.serving.turns.flows import Flow
from lorabay.settings import Settings
from tests.fake_engine import FakeEngine
from tests.versions import make_version

OPTIONS = {"max_loras": 1}
FINANCE, SHOP = make_version("finance", "f"), make_version("shop", "e")
LAW, BANK = make_version("law", "d"), make_version("bank", "b")
A, B = Flow("a", "finance"), Flow("b", "finance")


async def test_the_settings_bound_the_gate_and_metrics_tell() -> None:
    """Refusals by reason, waits by what was waited for, and how many wait now."""
    metrics = Metrics(CollectorRegistry())
    settings = Settings(max_running=2, max_queued=1, max_queued_per_tenant=0, queue_timeout_s=0.05)
    gate = make_gate(settings, OPTIONS, FakeEngine(), metrics)
    read = metrics.registry.get_sample_value

    await gate.take(FINANCE, A)
    with pytest.raises(RateLimited):
        await gate.take(SHOP, B)
    assert read("lorabay_queue_refusals_total", {"reason": "tenant_full"}) == 1

    settings = settings.model_copy(update={"max_queued_per_tenant": None})
    gate = make_gate(settings, OPTIONS, FakeEngine(), metrics)
    await gate.take(FINANCE, A)
    with pytest.raises(EngineUnavailable, match="slots"):
        await gate.take(SHOP, B)
    await gate.take(None, B)
    with pytest.raises(EngineUnavailable, match="busy"):
        await gate.take(None, B)
    assert read("lorabay_queue_refusals_total", {"reason": "timeout"}) == 2
    assert read("lorabay_slot_wait_seconds_count") == 1
    assert read("lorabay_queue_seconds_count") == 1
    assert read("lorabay_queue_waiting") == 0


async def test_by_default_the_engine_says_how_much_it_computes() -> None:
    """And slots are those of all its copies."""
    engine = FakeEngine()
    engine.max_sequences = 8
    settings = Settings(queue_timeout_s=0.05)
    options = OPTIONS | {"data_parallel_size": 2}
    gate = make_gate(settings, options, engine, Metrics(CollectorRegistry()))
    for version in (FINANCE, SHOP, *[None] * 7):
        await gate.take(version, A)
    with pytest.raises(EngineUnavailable, match="busy with 9 sequences"):
        await gate.take(None, A)


async def test_slots_and_sequences_follow_replicas_that_come_and_go() -> None:
    """Whoever waits goes as soon as there are more."""
    engine = FakeEngine()
    settings = Settings(ray_replicas=2, queue_timeout_s=0.05)
    gate = make_gate(settings, OPTIONS, engine, Metrics(CollectorRegistry()))
    await gate.take(FINANCE, A)
    await gate.take(SHOP, A)
    with pytest.raises(EngineUnavailable, match="one of 2 slots"):
        await gate.take(LAW, A)

    waiting = asyncio.create_task(gate.take(LAW, A))
    await asyncio.sleep(0)
    engine.resize(places=12, slots=3)
    await waiting
    engine.resize(places=4, slots=1)
    with pytest.raises(EngineUnavailable, match="one of 1 slots"):
        await gate.take(BANK, A)


async def test_the_engine_says_how_much_it_reads() -> None:
    """So many prompts are let in as it reads in some steps; the others wait."""
    engine = FakeEngine()
    engine.reads_at_once = StepTokens(10, 10)
    settings = Settings(queue_timeout_s=0.05, max_unread=2)
    gate = make_gate(settings, OPTIONS, engine, Metrics(CollectorRegistry()))
    for _ in range(2):
        await gate.take(None, A, prompt=100)
    with pytest.raises(EngineUnavailable, match="busy with 2 sequences"):
        await gate.take(None, A, prompt=1)


async def runs_beside(settings: Settings, engine: FakeEngine) -> tuple[int, int]:
    """Return how many requests of two tenants run, where one asks again and the other does not."""
    gate = make_gate(settings, OPTIONS, engine, Metrics(CollectorRegistry()))
    for flow in (A, B) * 20:
        await gate.take(None, flow, cost=1.0)
    more = [asyncio.create_task(gate.take(None, A, cost=1.0)) for _ in range(10)]
    await asyncio.sleep(0)
    running = gate.running
    for task in more:
        task.cancel()
    return running - 40, sum(task.done() for task in more)


async def test_tenants_keep_pace_where_there_are_shares(tmp_path: Path) -> None:
    """On an engine that reads prompts in slices, or from where the settings say."""
    path = tmp_path / "shares.toml"
    path.write_text("[[share]]\ntenant = 'c'\nweight = 2\n")
    in_slices, whole = FakeEngine(), FakeEngine()
    in_slices.reads_at_once, whole.reads_at_once = StepTokens(100, 200), StepTokens(200, 200)

    assert await runs_beside(Settings(), in_slices) == (10, 10)
    assert await runs_beside(Settings(shares=path), whole) == (10, 10)
    assert await runs_beside(Settings(shares=path, pace_from=60), in_slices) == (10, 10)
    assert await runs_beside(Settings(shares=path), in_slices) == (1, 1)
    assert await runs_beside(Settings(pace_from=32), whole) == (1, 1)


def test_shares_are_those_of_the_file(tmp_path: Path) -> None:
    """Without one all are equal; a wrong one is refused."""
    assert choose_shares(Settings()).flow("a", "finance") == A
    path = tmp_path / "shares.toml"
    path.write_text("[[share]]\ntenant = 'a'\nweight = 2\n")
    assert choose_shares(Settings(shares=path)).flow("a", "finance").tenant_weight == 2.0
    path.write_text("[[share]]\n")
    with pytest.raises(SetupError):
        choose_shares(Settings(shares=path))

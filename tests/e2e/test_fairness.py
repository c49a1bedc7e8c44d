"""Tenants and adapters that share the real engine: who waits how long, and who gets how much.

In the type and with the slices of prompts that suit the processor, or with `--fairness-slices`:
where slices are short prompts have to wait, and where they are long everybody runs at once.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ADAPTERS, ADMIN_KEY, API_KEY, REPOSITORY
from tests.e2e.crowd import Crowd, crowd
from tests.e2e.server import PATIENCE_S, Server

TENANTS = ("a", "b", "c", "d", "three")
STREAMS, TOKENS = 64, 48
ASKED, PAUSE_S = 40, 0.5
SHARES = '[[share]]\ntenant = "three"\nweight = 3\n'
FILLS_S = 10.0
"""How long a crowd runs before it is watched."""

ROUNDS = 4

pytestmark = pytest.mark.timeout(600)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run everything with each of the slices that were asked for."""
    asked = metafunc.config.getoption("--fairness-slices") or ["auto"]
    metafunc.parametrize("slices", asked, scope="module", ids="slices-{}".format)


@dataclass(frozen=True)
class Side:
    """A server, and the keys of its tenants."""

    url: str
    keys: dict[str, str]


def serve(folder: Path, base_folder: Path, slices: int | str, *more: str) -> Iterator[Side]:
    """Run a server with accounts, whose batches compute with two adapters."""
    forced = [] if slices == "auto" else ["--engine", f"long_prefill_token_threshold={slices}"]
    folder.mkdir()
    (folder / "shares.toml").write_text(SHARES)
    arguments = [
        *("--base", str(base_folder), "--adapters", str(REPOSITORY / "adapters")),
        *("--store", str(folder / "store"), "--database", f"sqlite:///{folder / 'accounts.db'}"),
        *("--api-key", API_KEY, "--admin-key", ADMIN_KEY, "--shares", str(folder / "shares.toml")),
        *("--engine", "max_model_len=512", "--engine", "max_loras=2"),
        *forced,
        *more,
    ]
    with Server(arguments, log=folder / "server.log") as running:
        running.wait_for("ready")
        yield Side(running.url, make_keys(running.url))


def make_keys(url: str) -> dict[str, str]:
    """Return a key of each tenant."""
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=PATIENCE_S) as admin:
        made = {
            tenant: admin.post("/admin/keys", json={"name": tenant, "tenant": tenant})
            for tenant in TENANTS
        }
    return {tenant: str(answer.json()["key"]) for tenant, answer in made.items()}


@pytest.fixture(scope="module")
def fair(
    base_folder: Path, tmp_path_factory: pytest.TempPathFactory, slices: int | str
) -> Iterator[Side]:
    """A server as it is by default."""
    yield from serve(tmp_path_factory.mktemp("fairness") / "fair", base_folder, slices)


@pytest.fixture(scope="module")
def ungated(
    base_folder: Path, tmp_path_factory: pytest.TempPathFactory, slices: int | str
) -> Iterator[Side]:
    """A server that hands every request to the engine at once."""
    folder = tmp_path_factory.mktemp("fairness") / "ungated"
    bounds = ("--max-running", "--max-unread", "--pace-from")
    unbound = [part for bound in bounds for part in (bound, "1000000")]
    yield from serve(folder, base_folder, slices, *unbound)


async def first_tokens(asking: Crowd, tenant: str, model: str) -> float:
    """Return the median time to the first token of single requests, at any moments.

    One that came as soon as the one before has ended would always find a step that has just begun.
    """
    times = []
    for _ in range(ASKED):
        await asyncio.sleep(asking.drawn.random() * PAUSE_S)
        times.append(await asking.ask(tenant, model, 4))
    return statistics.median(times)


async def test_one_stream_beside_64_has_its_first_token_soon(
    fair: Side, figures: list[str]
) -> None:
    """Within twice the time that it takes alone, or after the step that runs when it asks.

    Nothing stops a step that runs, and where slices of prompts are long a step of 64 streams takes
    more than twice as long as one request alone.
    """
    async with crowd(fair.url, fair.keys) as clients:
        await first_tokens(clients, "b", ADAPTERS[0])
        alone = await first_tokens(clients, "b", ADAPTERS[0])
        async with clients.busy("a", STREAMS, ADAPTERS[0], TOKENS):
            _, rate = await clients.watch(FILLS_S)
            beside = await first_tokens(clients, "b", ADAPTERS[0])
    step = STREAMS / rate
    figures.append(
        f"first token beside {STREAMS} streams of another tenant: {beside:.3f} s, alone "
        f"{alone:.3f}: x{beside / alone:.2f}; a step of theirs takes {step:.3f} s"
    )
    assert beside <= max(2 * alone, alone + step)


async def test_tenants_that_never_rest_get_the_same(fair: Side, figures: list[str]) -> None:
    """Whatever the length of their answers: Jain's index of what they get is at least 0.95.

    Over whole answers of the one with the longest, so that it does not matter how long they take.
    """
    async with crowd(fair.url, fair.keys) as clients, AsyncExitStack() as crowds:
        for tenant, tokens in zip("abcd", (16, 24, 32, 64), strict=True):
            await crowds.enter_async_context(clients.busy(tenant, 16, ADAPTERS[0], tokens))
        await clients.watch_until("d", 2 * 16)
        got = await clients.watch_until("d", 4 * 16)
    costs = [got[tenant] for tenant in "abcd"]
    jain = sum(costs) ** 2 / (len(costs) * sum(cost**2 for cost in costs))
    figures.append(f"four tenants that never rest: {costs}, Jain {jain:.4f}")
    assert jain >= 0.95


async def test_tenants_share_by_their_weights(fair: Side, figures: list[str]) -> None:
    """One of weight 3 gets three times as much as one of weight 1, to a tenth, over six answers."""
    async with crowd(fair.url, fair.keys) as clients, AsyncExitStack() as crowds:
        for tenant in ("a", "three"):
            await crowds.enter_async_context(clients.busy(tenant, 32, ADAPTERS[0], TOKENS // 2))
        await clients.watch_until("three", 2 * 32)
        got = await clients.watch_until("three", 6 * 32)
    ratio = got["three"] / got["a"]
    figures.append(f"weights 3 : 1 get {got['three']:.0f} : {got['a']:.0f} = {ratio:.2f} : 1")
    assert ratio == pytest.approx(3.0, rel=0.1)


async def test_a_cold_adapter_waits_two_requests_at_most(fair: Side, figures: list[str]) -> None:
    """Beside two that have the only slots and never rest."""
    busy, cold = ADAPTERS[:2], ADAPTERS[2]
    async with crowd(fair.url, fair.keys) as clients, AsyncExitStack() as crowds:
        for model in busy:
            await crowds.enter_async_context(clients.busy("a", 8, model, TOKENS // 2))
        await clients.watch(FILLS_S)
        clients.seconds.clear()
        waits = [await clients.ask("a", cold, 2) for _ in range(5)]
        usual = statistics.mean(clients.seconds)
    figures.append(
        f"a cold adapter beside two busy ones over two slots: first tokens after "
        f"{min(waits):.2f} to {max(waits):.2f} s; a request takes {usual:.2f}"
    )
    assert statistics.median(waits) <= 2 * usual


async def rates(
    sides: Sequence[Side], crowds: Sequence[Sequence[tuple[str, int, int]]]
) -> list[float]:
    """Return tokens a second of each server under its crowds of (tenant, streams, tokens).

    Servers become faster for some minutes, so the first round does not count, and in every other
    round the last one is the first. Over whole answers of the first tenant: where all streams begin
    and end together, the speed of a part of an answer is none of the whole.
    """
    measured: list[list[float]] = [[] for _ in sides]
    order = list(zip(sides, crowds, measured, strict=True))
    for _ in range(1 + ROUNDS):
        order.reverse()
        for side, asking, of_side in order:
            async with crowd(side.url, side.keys) as clients, AsyncExitStack() as streaming:
                for tenant, streams, tokens in asking:
                    busy = clients.busy(tenant, streams, ADAPTERS[0], tokens)
                    await streaming.enter_async_context(busy)
                first, streams, _ = asking[0]
                await clients.watch_until(first, streams)
                of_side.append(await clients.rate_until(first, 4 * streams))
    return [statistics.median(of_side[1:]) for of_side in measured]


async def test_the_queue_costs_no_throughput(fair: Side, ungated: Side, figures: list[str]) -> None:
    """Tokens a second at 64 streams of one tenant are at least 0.97 of those without it."""
    asking = [("a", STREAMS, TOKENS)]
    gated, free = await rates([fair, ungated], [asking, asking])
    figures.append(
        f"tokens a second at {STREAMS} streams: {gated:.1f}, without the queue {free:.1f}: "
        f"{gated / free:.3f}"
    )
    assert gated / free >= 0.97


async def test_weights_cost_only_what_the_streams_that_wait_would_have_added(
    fair: Side, ungated: Side, figures: list[str]
) -> None:
    """Two thirds of the lighter tenant's wait: the others are as fast as without these."""
    half = STREAMS // 2
    asking = [("three", half, TOKENS // 2), ("a", half, TOKENS // 2)]
    running = [("three", half, TOKENS // 2), ("a", half // 3, TOKENS // 2)]
    weighted, free = await rates([fair, ungated], [asking, running])
    figures.append(
        f"tokens a second with weights 3 : 1: {weighted:.1f}, of as many streams without the queue "
        f"{free:.1f}: {weighted / free:.3f}"
    )
    assert weighted / free >= 0.9

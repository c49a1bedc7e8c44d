"""Tenants and adapters that share the real engine: who waits how long, and who gets how much."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator
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
FILLS_S, WATCHED_S = 10.0, 30.0
"""How long a crowd runs before it is watched, and how long it is."""

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Side:
    """A server, and the keys of its tenants."""

    url: str
    keys: dict[str, str]


def serve(folder: Path, base_folder: Path, *more: str) -> Iterator[Side]:
    """Run a server with accounts, whose batches compute with two adapters."""
    folder.mkdir()
    (folder / "shares.toml").write_text(SHARES)
    arguments = [
        *("--base", str(base_folder), "--adapters", str(REPOSITORY / "adapters")),
        *("--store", str(folder / "store"), "--database", f"sqlite:///{folder / 'accounts.db'}"),
        *("--api-key", API_KEY, "--admin-key", ADMIN_KEY, "--shares", str(folder / "shares.toml")),
        *("--engine", "dtype=float32", "--engine", "max_model_len=512"),
        *("--engine", "max_loras=2"),
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
def fair(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """A server as it is by default."""
    yield from serve(tmp_path_factory.mktemp("fairness") / "fair", base_folder)


@pytest.fixture(scope="module")
def ungated(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """A server that hands every request to the engine at once."""
    folder = tmp_path_factory.mktemp("fairness") / "ungated"
    yield from serve(folder, base_folder, "--max-running", "1000000", "--max-unread", "1000000")


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
    """Within twice the time that it takes alone."""
    async with crowd(fair.url, fair.keys) as clients:
        await first_tokens(clients, "b", ADAPTERS[0])
        alone = await first_tokens(clients, "b", ADAPTERS[0])
        async with clients.busy("a", STREAMS, ADAPTERS[0], TOKENS):
            await clients.watch(FILLS_S)
            beside = await first_tokens(clients, "b", ADAPTERS[0])
    figures.append(
        f"first token beside {STREAMS} streams of another tenant: {beside:.3f} s, alone "
        f"{alone:.3f}: x{beside / alone:.2f}"
    )
    assert beside <= 2 * alone


async def test_tenants_that_never_rest_get_the_same(fair: Side, figures: list[str]) -> None:
    """Whatever the length of their answers: Jain's index of what they get is at least 0.95."""
    async with crowd(fair.url, fair.keys) as clients, AsyncExitStack() as crowds:
        for tenant, tokens in zip("abcd", (16, 24, 32, 64), strict=True):
            await crowds.enter_async_context(clients.busy(tenant, 16, ADAPTERS[0], tokens))
        await clients.watch(FILLS_S)
        got, _ = await clients.watch(WATCHED_S)
    costs = [got[tenant] for tenant in "abcd"]
    jain = sum(costs) ** 2 / (len(costs) * sum(cost**2 for cost in costs))
    figures.append(f"four tenants that never rest: {costs}, Jain {jain:.4f}")
    assert jain >= 0.95


async def test_tenants_share_by_their_weights(fair: Side, figures: list[str]) -> None:
    """One of weight 3 gets three times as much as one of weight 1, to a tenth."""
    async with crowd(fair.url, fair.keys) as clients, AsyncExitStack() as crowds:
        for tenant in ("a", "three"):
            await crowds.enter_async_context(clients.busy(tenant, 32, ADAPTERS[0], TOKENS // 2))
        await clients.watch(FILLS_S)
        got, _ = await clients.watch(WATCHED_S)
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


async def test_the_queue_costs_no_throughput(fair: Side, ungated: Side, figures: list[str]) -> None:
    """Tokens a second at 64 streams are at least 0.97 of those without it; rounds alternate."""
    rates: list[tuple[Side, list[float]]] = [(fair, []), (ungated, [])]
    for _ in range(3):
        for side, measured in rates:
            async with (
                crowd(side.url, side.keys) as clients,
                clients.busy("a", STREAMS, ADAPTERS[0], TOKENS),
            ):
                await clients.watch(FILLS_S)
                _, rate = await clients.watch(WATCHED_S / 2)
                measured.append(rate)
    gated, free = (statistics.median(measured) for _, measured in rates)
    figures.append(
        f"tokens a second at {STREAMS} streams: {gated:.1f}, without the queue {free:.1f}: "
        f"{gated / free:.3f}"
    )
    assert gated / free >= 0.97

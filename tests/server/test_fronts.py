"""Two whole servers with one set of names: processes of their own, over HTTP, with fake engines."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lorabay.errors import SetupError
from lorabay.metrics import Metrics
from lorabay.server.fronts import choose_fronts
from lorabay.settings import load_settings
from tests import making
from tests.making import lora_tensors
from tests.server.standing import ADMIN_KEY, API_KEY, Standing, standing

PATIENCE_S = 60.0
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}
CALLER = {"authorization": f"Bearer {API_KEY}"}


def settings_in(folder: Path, url: str) -> dict[str, object]:
    return {
        "base": folder / "base",
        "adapters": folder / "adapters",
        "store": folder / "store",
        "database": url,
        "cluster": "shop",
        "settle_s": 0,
        "poll_s": 0.2,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    making.make_base(tmp_path / "base")
    put(tmp_path, "finance", 0)
    return tmp_path


def put(folder: Path, name: str, seed: int) -> None:
    """Put an adapter into the directory, in the place of one of this name."""
    made = making.make_adapter(folder / f"made-{name}-{seed}", tensors=lora_tensors(seed=seed))
    place = folder / "adapters" / name
    place.parent.mkdir(exist_ok=True)
    if place.exists():
        for file in made.iterdir():
            file.replace(place / file.name)
    else:
        shutil.move(made, place)


@pytest.fixture
def two(folder: Path, database_url: str) -> Iterator[tuple[Standing, Standing]]:
    """The one that keeps the names, and one that follows."""
    with ExitStack() as stack:
        settings = settings_in(folder, database_url)
        keeper = stack.enter_context(standing(settings))
        other = stack.enter_context(standing(settings))
        yield keeper, other


@asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        yield http


async def version_at(http: httpx.AsyncClient, server: Standing, model: str = "finance") -> str:
    """Return the version that answers a request."""
    body = {"model": model, "messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
    answer = await http.post(f"{server.url}/v1/chat/completions", json=body, headers=CALLER)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-adapter-version"]


async def adapter_at(http: httpx.AsyncClient, server: Standing, name: str) -> dict[str, Any]:
    answer = await http.get(f"{server.url}/admin/adapters/{name}", headers=ADMIN)
    return answer.json() if answer.status_code == 200 else {}


async def admin(
    http: httpx.AsyncClient, server: Standing, path: str, status: int = 200, **body: Any
) -> dict[str, Any]:
    answer = await http.post(f"{server.url}/admin/{path}", json=body, headers=ADMIN)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def until(holds: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():
            await asyncio.sleep(0.02)


async def test_no_client_of_both_sees_an_older_version_again(
    folder: Path, two: tuple[Standing, Standing]
) -> None:
    """While the folder changes, and an administrator rolls back at the one that follows."""
    order: list[str] = []
    wrong: list[str] = []

    async def ask(http: httpx.AsyncClient, chance: random.Random) -> None:
        newest = 0
        while True:
            version = await version_at(http, chance.choice(two))
            if version not in order:
                order.append(version)
            if order.index(version) < newest:
                wrong.append(version)
            newest = max(newest, order.index(version))

    async with client() as http:
        asking = [asyncio.create_task(ask(http, random.Random(n))) for n in range(8)]
        for seed in range(1, 8):
            put(folder, "finance", seed)
            await until(lambda seed=seed: _has(order, seed + 1))
        for task in asking:
            task.cancel()
        done, _ = await asyncio.wait(asking)
        assert [task.exception() for task in done if not task.cancelled()] == []
        assert wrong == []
        assert len(order) == 8


async def _has(order: list[str], count: int) -> bool:
    return len(order) >= count


async def test_what_an_administrator_does_at_either_is_done_at_both(
    folder: Path, two: tuple[Standing, Standing]
) -> None:
    """Both mean the same as soon as one of them has answered; what cannot be done is said."""
    keeper, other = two
    async with client() as http:
        first = await version_at(http, other)
        put(folder, "finance", 1)
        await admin(http, other, "rescan")
        second = await version_at(http, keeper)
        assert second != first
        assert await version_at(http, other) == second

        for asked, seen in ((other, keeper), (keeper, other)):
            assert (await admin(http, asked, "adapters/finance/pin"))["pinned"]
            assert (await adapter_at(http, seen, "finance"))["pinned"]
            await admin(http, asked, "adapters/finance/unpin")
            rolled = await admin(http, asked, "adapters/finance/rollback")
            assert rolled["rolled_back"] or asked is keeper
            assert await version_at(http, seen) == await version_at(http, asked)

        refused = await admin(http, other, "adapters/finance/rollback", 409, version="f" * 12)
        assert refused["error"]["code"] == "adapter_conflict"
        assert (await admin(http, other, "adapters/nobody/pin", 404))["error"]["code"]

        await admin(http, other, "adapters/finance/unload")
        for server in two:
            body = {"model": "finance", "messages": [], "max_tokens": 1}
            url = f"{server.url}/v1/chat/completions"
            assert (await http.post(url, json=body, headers=CALLER)).status_code == 404


async def test_a_rollout_is_one_for_both(folder: Path, two: tuple[Standing, Standing]) -> None:
    """Each client gets one version, whichever server answers; both servers' answers count."""
    keeper, other = two
    async with client() as http:
        put(folder, "finance", 1)
        await admin(http, other, "rescan")
        live, former = [
            version["digest"][:12]
            for version in (await adapter_at(http, other, "finance"))["versions"]
        ]
        started = await admin(
            http, other, "adapters/finance/rollout", version=former, share=50, by="user"
        )
        assert started["status"] == "running"

        arms: dict[str, set[str]] = {}
        for user in range(20):
            for server in two:
                body = {"model": "finance", "messages": [], "max_tokens": 1, "user": str(user)}
                url = f"{server.url}/v1/chat/completions"
                answer = await http.post(url, json=body, headers=CALLER)
                arms.setdefault(str(user), set()).add(answer.headers["x-adapter-version"])
        assert all(len(versions) == 1 for versions in arms.values())
        assert set.union(*arms.values()) == {live, former}

        async def is_counted() -> bool:
            url = f"{keeper.url}/admin/adapters/finance/rollout"
            report = (await http.get(url, headers=ADMIN)).json()
            return sum(report["answers"].values()) == 40

        await until(is_counted)
        await admin(http, other, "adapters/finance/rollout/promote")
        assert await version_at(http, keeper) == await version_at(http, other) == former


async def test_names_outlive_the_server_that_keeps_them(
    folder: Path, two: tuple[Standing, Standing]
) -> None:
    """After `kill -9` the other one takes over, and a new one joins it."""
    keeper, other = two
    async with client() as http:
        before = await version_at(http, other)
        os.kill(keeper.pid, signal.SIGKILL)
        put(folder, "finance", 1)

        async def has_swapped() -> bool:
            return await version_at(http, other) != before

        await until(has_swapped)
        assert (await admin(http, other, "adapters/finance/rollback"))["rolled_back"]
        assert await version_at(http, other) == before


def test_a_cluster_wants_a_database(tmp_path: Path) -> None:
    """One line says which option is missing; without a cluster nothing is shared."""
    metrics = Metrics(CollectorRegistry())
    settings = load_settings({"store": tmp_path, "cluster": "shop"}, environ={})
    with pytest.raises(SetupError, match="--database"):
        choose_fronts(settings, None, metrics)
    alone = load_settings({"store": tmp_path}, environ={})
    assert choose_fronts(alone, None, metrics) is None

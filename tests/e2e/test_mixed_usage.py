"""Usage of requests of every kind, many of them left, is what the engine counted to the token."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ADAPTERS
from tests.e2e.mixed import Asked, drawn
from tests.e2e.server import PATIENCE_S, Page, Server, page
from tests.e2e.test_metrics import at_rest

pytestmark = pytest.mark.timeout(900)

AT_ONCE = 32
STAY, LEAVE = 4, 2
"""Keys of those who stay, and of those who leave."""

SPENT = """
SELECT count(*), sum(ended = 'done'),
    sum(prompt_tokens * sequences / max(prompts, 1)), sum(generated_tokens)
FROM usage WHERE key IN (SELECT value FROM json_each(?))
"""
"""vLLM counts a prompt once for each answer to it."""


@dataclass(frozen=True)
class Spent:
    """What some keys have used."""

    requests: int
    done: int
    prompt: int
    generated: int


def spent(accounts: Path, keys: Sequence[dict[str, str]]) -> Spent:
    """Return what the database has of some keys."""
    ids = json.dumps([key["id"] for key in keys])
    with closing(sqlite3.connect(accounts)) as database:
        (row,) = database.execute(SPENT, (ids,)).fetchall()
    return Spent(*(number or 0 for number in row))


def recorded(server: Server) -> Page:
    """Return the metrics of a moment in which nobody asks and all usage is in the database."""
    at_rest(server)
    while (now := page(server.url)).total("lorabay_usage_waiting"):
        pass
    return now


async def send_all(server: Server, requests: Sequence[Asked]) -> dict[str, int]:
    """Send requests, and return the tokens that each key was told of."""
    told: dict[str, int] = {}
    turn = asyncio.Semaphore(AT_ONCE)

    async def send(http: httpx.AsyncClient, request: Asked) -> None:
        async with turn:
            tokens = await request.send(http)
        told[request.key] = told.get(request.key, 0) + tokens

    limits = httpx.Limits(max_connections=AT_ONCE)
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S, limits=limits) as http,
        asyncio.TaskGroup() as together,
    ):
        for request in requests:
            together.create_task(send(http, request))
    return told


async def test_usage_of_mixed_requests_is_what_the_engine_counted(
    server: Server,
    admin: httpx.Client,
    accounts: Path,
    figures: list[str],
    pytestconfig: pytest.Config,
) -> None:
    """Requests of every kind over three adapters, of which three of ten are left at some token: all
    that was answered is counted exactly, and what was left to one token each.
    """
    names = [f"mixed-{number}" for number in range(STAY + LEAVE)]
    made = [admin.post("/admin/keys", json={"name": name}).json() for name in names]
    stay, leave = made[:STAY], made[STAY:]
    keys = [[key["key"] for key in some] for some in (stay, leave)]
    requests = list(islice(drawn(ADAPTERS, *keys), pytestconfig.getoption("--mixed-usage")))
    left = sum(request.leaves_at is not None for request in requests)

    before = recorded(server)
    told = await send_all(server, requests)
    after = recorded(server)

    stayed, abandoned = spent(accounts, stay), spent(accounts, leave)
    prompt, generated = (
        after.total(name) - before.total(name)
        for name in ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
    )
    off = stayed.generated + abandoned.generated - generated
    figures.append(
        f"usage of {len(requests)} requests, {left} of them left: "
        f"{stayed.prompt + abandoned.prompt} prompt tokens (engine {prompt:.0f}), "
        f"{stayed.generated + abandoned.generated} generated (engine {generated:.0f})"
    )
    assert stayed.requests == stayed.done == len(requests) - left
    assert stayed.generated == sum(told.get(key, 0) for key in keys[0])
    assert stayed.prompt + abandoned.prompt == prompt
    assert abs(off) <= left

    report = admin.get("/admin/usage?by=key,adapter").json()
    ids = {key["id"] for key in stay}
    lines = [line for line in report["lines"] if line["key"] in ids]
    assert len(lines) == STAY * len(ADAPTERS)
    assert sum(line["generated_tokens"] for line in lines) == stayed.generated

"""Usage is what the engine counted, to the token, for whoever stayed and whoever left."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

from tests.e2e.conftest import ADAPTERS
from tests.e2e.server import PATIENCE_S, Server, page
from tests.e2e.test_metrics import at_rest

STREAMS, AT_ONCE, TOKENS = 200, 16, 10
KEYS = 4
PROMPTS = ("Good morning", "What is a bond?", "Where is my parcel? I have waited for a week.")

SPENT = """
SELECT count(*), sum(prompt_tokens * sequences / prompts), sum(generated_tokens)
FROM usage WHERE prompts > 0
"""
"""vLLM counts a prompt once for each answer to it."""


def spent(accounts: Path) -> tuple[int, int, int]:
    """Return requests, prompt tokens and generated tokens of all usage."""
    with closing(sqlite3.connect(accounts)) as database:
        requests, prompt, generated = database.execute(SPENT).fetchone()
    return requests, prompt or 0, generated or 0


def counted(server: Server) -> tuple[float, float]:
    """Return vLLM's own counters, when nobody asks."""
    at_rest(server)
    now = page(server.url)
    return now.total("vllm:prompt_tokens_total"), now.total("vllm:generation_tokens_total")


async def ask(
    http: httpx.AsyncClient, turn: asyncio.Semaphore, key: str, number: int, leaves_at: int
) -> None:
    """Read a stream of one of the adapters to its end, or to an event."""
    body = {
        "model": ADAPTERS[number % len(ADAPTERS)],
        "messages": [{"role": "user", "content": PROMPTS[number % len(PROMPTS)]}],
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "stream": True,
        # Whoever left might leave before the prompt was read for both.
        "n": 2 if number % 10 == 0 and leaves_at < 0 else 1,
    }
    headers = {"authorization": f"Bearer {key}"}
    async with (
        turn,
        http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        events = 0
        async for line in answer.aiter_lines():
            events += line.startswith("data: {")
            if events == leaves_at:
                return


async def test_usage_is_what_the_engine_counted(
    server: Server, admin: httpx.Client, accounts: Path, figures: list[str]
) -> None:
    """200 streams of four keys over three adapters; a third of them is left at some token."""
    made = [admin.post("/admin/keys", json={"name": f"usage-{n}"}).json() for n in range(KEYS)]
    drawn = random.Random(3)
    leaves = [drawn.randrange(2, TOKENS) if drawn.random() < 0.3 else -1 for _ in range(STREAMS)]
    prompt, generated = counted(server)
    assert admin.get("/admin/usage").status_code == 200
    before = spent(accounts)

    turn = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S) as http:
        asked = (
            ask(http, turn, made[number % KEYS]["key"], number, leaves_at)
            for number, leaves_at in enumerate(leaves)
        )
        await asyncio.gather(*asked)

    prompt_now, generated_now = counted(server)
    report = admin.get("/admin/usage?by=key,adapter").json()
    after = spent(accounts)
    requests, prompt_spent, generated_spent = (
        now - then for now, then in zip(after, before, strict=True)
    )
    left = sum(leaves_at > 0 for leaves_at in leaves)
    off = abs(generated_spent - (generated_now - generated))
    figures.append(
        f"usage of {STREAMS} streams, {left} of them left: {prompt_spent} prompt tokens "
        f"(engine {prompt_now - prompt:.0f}), {generated_spent} generated "
        f"(engine {generated_now - generated:.0f})"
    )
    assert requests == STREAMS
    assert prompt_spent == prompt_now - prompt
    assert off <= left
    ids = {key["id"] for key in made}
    lines = [line for line in report["lines"] if line["key"] in ids]
    assert len(lines) == KEYS * len(ADAPTERS)
    assert sum(line["requests"] for line in lines) == STREAMS

"""Clients of several tenants that keep one server busy, and what each tenant gets of it."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from lorabay.serving.turns.flows import cost
from tests.e2e.server import PATIENCE_S

PROMPT_TOKENS = 40
LOOKS_S = 0.1
TOKEN_IDS = range(1_000, 20_000)
"""Ordinary tokens; prompts of them share no prefix that a cache could use."""

SO_FAR = re.compile(rb'"completion_tokens": ?(\d+)')


@dataclass
class Crowd:
    """Clients of the server at `url`, which knows their tenants by `keys`."""

    url: str
    keys: dict[str, str]
    session: aiohttp.ClientSession
    costs: Counter[str] = field(default_factory=Counter)
    """What each tenant has been given so far, as the server's queue counts it."""
    tokens: int = 0
    """Tokens that were generated for anybody."""
    seconds: list[float] = field(default_factory=list)
    """How long each request took that has ended."""
    ended: Counter[str] = field(default_factory=Counter)
    """How many requests of each tenant have."""
    drawn: random.Random = field(default_factory=lambda: random.Random(4))

    async def ask(self, tenant: str, model: str, tokens: int) -> float:
        """Stream one answer; return the seconds until its first token."""
        body = {
            "model": model,
            "prompt": self.drawn.choices(TOKEN_IDS, k=PROMPT_TOKENS),
            "max_tokens": tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }
        headers = {"authorization": f"Bearer {self.keys[tenant]}"}
        url, begun, got, first = f"{self.url}/v1/completions", time.perf_counter(), 0, 0.0
        async with self.session.post(url, json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                seen = SO_FAR.search(line)
                if seen is None:
                    continue
                if not got:
                    first = time.perf_counter() - begun
                    self.costs[tenant] += cost(PROMPT_TOKENS, 0)
                new, got = int(seen[1]) - got, int(seen[1])
                self.costs[tenant] += cost(0, new)
                self.tokens += new
        self.seconds.append(time.perf_counter() - begun)
        self.ended[tenant] += 1
        return first

    @asynccontextmanager
    async def busy(self, tenant: str, streams: int, model: str, tokens: int) -> AsyncIterator[None]:
        """Keep so many streams of a tenant running, each of which asks again and again."""

        async def stream() -> None:
            while True:
                await self.ask(tenant, model, tokens)

        tasks = [asyncio.create_task(stream()) for _ in range(streams)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                if not isinstance(end, asyncio.CancelledError):
                    assert not isinstance(end, BaseException), end

    async def watch_until(self, tenant: str, ends: int) -> Counter[str]:
        """Return what each tenant gets until so many requests of one of them have ended."""
        costs, until = Counter(self.costs), self.ended[tenant] + ends
        while self.ended[tenant] < until:
            await asyncio.sleep(LOOKS_S)
        return self.costs - costs

    async def rate_until(self, tenant: str, ends: int) -> float:
        """Return tokens a second of all until so many requests of one tenant have ended."""
        tokens, begun = self.tokens, time.perf_counter()
        await self.watch_until(tenant, ends)
        return (self.tokens - tokens) / (time.perf_counter() - begun)

    async def watch(self, seconds: float) -> tuple[Counter[str], float]:
        """Return what each tenant gets in so many seconds, and tokens a second of all."""
        costs, tokens, begun = Counter(self.costs), self.tokens, time.perf_counter()
        await asyncio.sleep(seconds)
        got = {tenant: self.costs[tenant] - costs[tenant] for tenant in self.costs}
        return Counter(got), (self.tokens - tokens) / (time.perf_counter() - begun)


@asynccontextmanager
async def crowd(url: str, keys: dict[str, str]) -> AsyncIterator[Crowd]:
    """Return a crowd that is connected to the server."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Crowd(url, keys, session)

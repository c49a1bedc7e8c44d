"""A caller with limits, from its request to the settled ledger; only the engine is fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from lorabay.accounts.callers import Caller
from lorabay.accounts.ledger.guarded_store import GuardedStore
from lorabay.accounts.ledger.ledger import SharedLedger
from lorabay.accounts.ledger.memory_store import MemoryStore
from lorabay.accounts.ledger.rules import Rules
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.ledger.sharing import Sharing
from lorabay.accounts.limits import Limits
from lorabay.api.allowance.allowance import Allowances
from lorabay.serving.engine import CALLS, CHAT, TOKENIZE, Answer, Usage
from tests.api.conftest import Api, client_of, make_app, parts_over
from tests.api.test_exchange import WAYS, go

LIMITS = Limits(requests_per_minute=1_000, tokens_per_minute=200, tokens_per_day=10_000, parallel=4)
ASKS: dict[str, Any] = {"model": "finance", "messages": [], "max_tokens": 60}


class Known:
    """A gate for one caller."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def identify(self, headers: object) -> Caller:
        return self.caller


@dataclass
class Limited:
    """An application whose caller has limits, the ledger's shares, and its clock."""

    api: Api
    sharing: Sharing
    now: float = 1_800_000_000.0

    def reserved(self) -> int:
        """Return what running requests hold of all limits."""
        return sum(share.held - share.free for share in self.sharing._shares.values())

    def left(self, limit: str) -> int:
        """Return what is left of the key's own limit."""
        return self.sharing._shares[f"key:k:{limit}"].left


@pytest.fixture
async def limited(api: Api) -> AsyncIterator[Limited]:
    """The application of `api`, for the caller `k`."""
    made = Limited(api, None)  # type: ignore[arg-type]
    store = MemoryStore(lambda: made.now)
    made.sharing = Sharing(GuardedStore(store, "a"))
    rules = Rules({(ScopeKind.ADAPTER, "finance"): Limits(tokens_per_minute=150)})
    allowances = Allowances(SharedLedger(made.sharing, made.sharing), lambda: rules)
    parts = parts_over(
        api.registry,
        engine=api.engine,
        weights=api.weights,
        metrics=api.metrics,
        allowances=allowances,
    )
    app = make_app(parts, Known(Caller("k", limits=LIMITS)))
    async with client_of(app) as http:
        made.api = Api(app, api.engine, api.registry, api.weights, api.metrics, http)
        yield made


@pytest.mark.parametrize("name", WAYS)
async def test_however_a_request_ends_nothing_stays_reserved(limited: Limited, name: str) -> None:
    """And what it cost is counted once: all of the rest can be had again."""
    await go(limited.api, WAYS[name])
    assert limited.reserved() == 0
    used = 200 - limited.left("tokens_per_minute")
    await limited.sharing.fill()
    assert 200 - limited.left("tokens_per_minute") <= max(used, 20)
    assert limited.left("parallel") == 4
    assert limited.api.at_rest()


async def test_a_stream_that_is_left_costs_what_the_engine_counted(limited: Limited) -> None:
    """Not what it had reserved."""
    await go(limited.api, WAYS["a client that leaves the stream"])
    await limited.sharing.fill()
    assert 200 - limited.left("tokens_per_minute") == await spent(limited.api)


async def spent(api: Api) -> int:
    """Return the tokens that the metrics have counted."""
    series = ("lorabay_prompt_tokens_total", "lorabay_generation_tokens_total")
    return int(sum(api.count(name, adapter=adapter) for name in series for adapter in ("finance",)))


async def test_every_answer_tells_what_is_left(limited: Limited) -> None:
    """Whole ones, streams and failures; of the limit that is nearest its end."""
    limited.api.engine.prompt_tokens = 10
    whole = await limited.api.http.post(CHAT.path, json=ASKS)
    assert whole.status_code == 200
    assert whole.headers["x-ratelimit-limit-requests"] == "1000"
    assert whole.headers["x-ratelimit-limit-tokens"] == "150"
    assert whole.headers["x-ratelimit-remaining-tokens"] == "80"
    stream = await limited.api.http.post(CHAT.path, json=ASKS | {"stream": True})
    assert "x-ratelimit-remaining-tokens" in stream.headers
    limited.api.engine.up = False
    failed = await limited.api.http.post(CHAT.path, json=ASKS)
    assert failed.status_code == 503
    assert "x-ratelimit-remaining-tokens" in failed.headers


async def test_over_the_limit_is_429_and_the_engine_is_not_asked(limited: Limited) -> None:
    """In OpenAI's envelope, with the time; the lease is free."""
    may_end = asyncio.Event()
    reply = limited.api.engine.reply

    async def slow(body: dict[str, Any]) -> Any:
        await may_end.wait()
        return await reply(body)

    limited.api.engine.reply = slow
    running = [asyncio.create_task(limited.api.http.post(CHAT.path, json=ASKS)) for _ in range(2)]
    while len(limited.api.engine.asked) < 2:
        await asyncio.sleep(0)
    refused = await limited.api.http.post(CHAT.path, json=ASKS)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert (
        "adapter `finance` has used its 150 tokens a minute" in refused.json()["error"]["message"]
    )
    assert float(refused.headers["retry-after-ms"]) > 0
    assert len(limited.api.engine.asked) == 2
    may_end.set()
    await asyncio.gather(*running)
    assert limited.api.at_rest()
    assert limited.reserved() == 0


async def test_a_prompt_that_turns_out_too_long_is_not_computed(limited: Limited) -> None:
    """400 if it can never fit, 429 if it may later."""
    limited.api.engine.prompt_tokens = 100
    never = await limited.api.http.post(CHAT.path, json=ASKS)
    assert (never.status_code, never.json()["error"]["code"]) == (400, "invalid_request")
    assert "limit `tokens_per_minute`" in never.json()["error"]["message"]

    limited.api.engine.prompt_tokens = 80
    assert (await limited.api.http.post(CHAT.path, json=ASKS)).status_code == 200
    assert limited.reserved() == 0


async def test_every_path_counts(limited: Limited) -> None:
    """Also those that compute nothing."""
    await limited.sharing.fill()
    for number, call in enumerate(CALLS, 1):
        await limited.api.http.post(call.path, json={"model": "finance"})
        assert limited.left("requests_per_minute") == 1_000 - number, call.name
    assert TOKENIZE in CALLS


async def test_openais_own_client_waits_as_long_as_it_is_told(
    limited: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is answered then, without a word of its program."""
    import anyio
    import httpx2
    from openai import AsyncOpenAI

    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        # As a server does that lives on: a store forgets one that says nothing for long.
        for _ in range(10):
            limited.now += seconds / 10
            await limited.sharing.fill()

    limited.api.engine.prompt_tokens = 140
    monkeypatch.setattr(anyio, "sleep", wait)
    transport = httpx2.ASGITransport(limited.api.app)
    client = AsyncOpenAI(
        api_key="k",
        base_url="http://server/v1",
        max_retries=2,
        http_client=httpx2.AsyncClient(transport=transport),
    )

    async def costly(body: dict[str, Any]) -> Any:
        return Answer(b'{"choices": []}', Usage(140, 5))

    limited.api.engine.reply = costly
    for _ in range(2):
        await client.chat.completions.create(
            model="finance", messages=[{"role": "user", "content": "x" * 500}], max_tokens=5
        )
    assert 50 <= sum(waited) <= 63
    assert waited[0] == 60
    await client.close()

"""One request's hold on its limits."""

from __future__ import annotations

import asyncio

import pytest

from lorabay.accounts.callers import Caller
from lorabay.accounts.ledger.guarded_store import GuardedStore
from lorabay.accounts.ledger.ledger import SharedLedger
from lorabay.accounts.ledger.memory_store import MemoryStore
from lorabay.accounts.ledger.rules import NO_RULES
from lorabay.accounts.ledger.sharing import Sharing
from lorabay.accounts.limits import Limits
from lorabay.api.allowance.allowance import Allowances
from lorabay.api.allowance.usual_output import ENOUGH
from lorabay.errors import InvalidRequest, RateLimited
from lorabay.serving.engine import CHAT, Body, Usage

LIMITED = Caller("k", limits=Limits(tokens_per_minute=100, requests_per_minute=4))
FREE = Caller("free")
ASKS: Body = {"model": "finance", "messages": [], "max_tokens": 40}


@pytest.fixture
async def allowances() -> Allowances:
    sharing = Sharing(GuardedStore(MemoryStore(), "a"))
    return Allowances(SharedLedger(sharing, sharing), lambda: NO_RULES)


async def test_what_is_left_follows_what_is_used(allowances: Allowances) -> None:
    """Reserved when it comes, corrected by the prompt, settled by what the engine counted."""
    one = await allowances.reserve(LIMITED, None, CHAT, ASKS, 2_048)
    await one.admit(50)
    assert one.headers["x-ratelimit-limit-tokens"] == "100"
    assert one.headers["x-ratelimit-remaining-tokens"] == "10"
    assert one.headers["x-ratelimit-remaining-requests"] == "3"
    with pytest.raises(RateLimited):
        await allowances.reserve(LIMITED, None, CHAT, ASKS, 2_048)
    one.settle(Usage(50, 5), was_asked=True)
    one.settle(Usage(50, 5), was_asked=True)
    two = await allowances.reserve(LIMITED, None, CHAT, ASKS, 2_048)
    two.settle(None, was_asked=False)
    third = await allowances.reserve(LIMITED, None, CHAT, ASKS, 2_048)
    assert third.headers["x-ratelimit-remaining-requests"] == "2"


async def test_a_prompt_that_is_too_long_gives_nothing_away(allowances: Allowances) -> None:
    """It is refused before the engine has computed it, and the reservation goes back."""
    one = await allowances.reserve(LIMITED, None, CHAT, ASKS, 2_048)
    with pytest.raises(InvalidRequest):
        await one.admit(61)
    one.settle(None, was_asked=False)
    await allowances.reserve(LIMITED, None, CHAT, ASKS | {"max_tokens": 90}, 2_048)


async def test_prompts_that_are_counted_side_by_side_take_what_they_need(
    allowances: Allowances,
) -> None:
    """Bug: each asked for all that it and those before it need, and the last was refused."""
    one = await allowances.reserve(LIMITED, None, CHAT, ASKS, 2_048)
    await asyncio.gather(one.admit(20), one.admit(45))
    assert one.headers["x-ratelimit-remaining-tokens"] == str(100 - 40 - 45)


async def test_a_caller_without_limits_has_no_headers(allowances: Allowances) -> None:
    """And nothing to wait for."""
    one = await allowances.reserve(FREE, None, CHAT, ASKS, None)
    await one.admit(10**9)
    one.settle(Usage(10**9, 1), was_asked=True)
    assert one.headers == {}


async def test_several_answers_are_each_as_long_as_usual(allowances: Allowances) -> None:
    """Bug: eight answers of 10 tokens were taken for one of 80, of which the next had eight."""
    asks: Body = {"model": "finance", "messages": [], "n": 8}
    for _ in range(ENOUGH):
        one = await allowances.reserve(FREE, None, CHAT, asks, 2_048)
        one.settle(Usage(5, 80, sequences=8), was_asked=True)
    assert allowances.estimate(None, CHAT, asks, 2_048).output == 80

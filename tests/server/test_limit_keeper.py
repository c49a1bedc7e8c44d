"""What a server with accounts makes for its limits, over a real database and a real Redis."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from lorabay.accounts.callers import Caller
from lorabay.accounts.database.database import open_database
from lorabay.accounts.limits import Limits
from lorabay.errors import RateLimited, SetupError
from lorabay.metrics import Metrics
from lorabay.server.limit_keeper import LimitKeeper
from lorabay.serving.engine import CHAT, Body

CALLER = Caller("k", limits=Limits(tokens_per_minute=100, tokens_per_day=1_000))
ASKS: Body = {"model": "finance", "messages": [], "max_tokens": 60}


@pytest.mark.parametrize("with_redis", [False, True])
async def test_two_servers_share_one_limit(
    request: pytest.FixtureRequest, sqlite_url: str, with_redis: bool
) -> None:
    """Until the first one has ended, and given back what it held."""
    url = request.getfixturevalue("redis_url") if with_redis else None
    with open_database(sqlite_url) as database:
        metrics = [Metrics(CollectorRegistry()) for _ in range(2)]
        first, second = (LimitKeeper(database, each, redis=url) for each in metrics)
        lives = [asyncio.create_task(keeper.run()) for keeper in (first, second)]

        one = await first.allowances.reserve(CALLER, None, CHAT, ASKS, None)
        with pytest.raises(RateLimited):
            await second.allowances.reserve(CALLER, None, CHAT, ASKS, None)
        refusals = {"limit": "tokens_per_minute"}
        value = metrics[1].registry.get_sample_value
        assert value("lorabay_limit_refusals_total", refusals) == 1
        assert value("lorabay_limits_divided", {"store": "database"}) == 0

        one.settle(None, was_asked=False)
        await first.close()
        await second.allowances.reserve(CALLER, None, CHAT, ASKS, None)
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)


def test_a_redis_that_is_not_there_ends_the_start(sqlite_url: str) -> None:
    """One line, without the password."""
    with (
        open_database(sqlite_url) as database,
        pytest.raises(SetupError, match="Redis does not answer") as told,
    ):
        LimitKeeper(database, Metrics(CollectorRegistry()), redis="redis://:s3cret@127.0.0.1:1/0")
    assert "s3cret" not in told.value.message

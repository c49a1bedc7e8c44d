"""Tallies in a real Redis; what it shares with other stores is tried in `test_store`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from lorabay.accounts.ledger.periods import MINUTE
from lorabay.accounts.ledger.redis_store import PREFIX, RedisStore
from lorabay.accounts.ledger.store import StoreGone
from lorabay.accounts.ledger.tally import Counter, Report
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from tests.fixtures.redis import RedisServer

TOKENS = Counter("key:k:tokens_per_minute", MINUTE, 100)
ASKS = {TOKENS: Report(needs=(1,))}


def test_servers_that_come_at_once_get_the_limit_together(redis_url: str) -> None:
    """Each step is done again if another server came between."""
    given: list[int] = []

    def spend(server: str) -> None:
        store, held = RedisStore(redis_url), 0
        for _ in range(40):
            held += store.settle(server, {TOKENS: Report(held, needs=(1,))})[TOKENS].given
        given.append(held)
        store.close()

    threads = [threading.Thread(target=spend, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(given) == 100


def test_the_clock_is_that_of_redis(redis_url: str) -> None:
    """Not that of any server."""
    import redis

    store = RedisStore(redis_url)
    reply = store.settle("a", ASKS)[TOKENS]
    with redis.Redis.from_url(redis_url) as client:
        seconds, _ = client.time()
        assert abs(reply.now - seconds) < 60
        assert 60 <= client.ttl(PREFIX + TOKENS.name) <= 200
    store.close()


def test_a_redis_that_is_gone_is_told_as_that(redis_server: RedisServer) -> None:
    """And one that is back is used again."""
    store = RedisStore(redis_server.url)
    store.settle("a", ASKS)
    redis_server.stop()
    try:
        with pytest.raises(StoreGone, match="ConnectionError"):
            store.settle("a", ASKS)
        with pytest.raises(SetupError, match="Redis does not answer"):
            store.check()
    finally:
        redis_server.start()
    store.check()
    assert not store.settle("a", ASKS)[TOKENS].was_known
    store.close()


def test_what_is_no_url_is_a_setup_error() -> None:
    """The message does not repeat it: it may hold a password."""
    with pytest.raises(SetupError, match="redis://HOST:PORT") as told:
        RedisStore("secret@host")
    assert "secret" not in told.value.message

"""What every store keeps to: the same machine and the same arithmetic, on each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lorabay.accounts.ledger.memory_store import MemoryStore
from lorabay.accounts.ledger.periods import MINUTE
from lorabay.accounts.ledger.store import Clock, Store
from lorabay.accounts.ledger.tally import Counter, Report
from tests.accounts.ledger.test_ledger import run_machine

KINDS = ("memory", "sqlite", "postgres", "redis")
TOKENS = Counter("key:k:tokens_per_minute", MINUTE, 100)

Make = Callable[[Clock], Store]


@pytest.fixture(params=KINDS)
def make_store(request: pytest.FixtureRequest) -> Iterator[Make]:
    """A function that returns an empty store of each kind, on a clock."""
    kind: str = request.param
    if kind == "memory":
        yield MemoryStore
    elif kind == "redis":
        yield redis_stores(request.getfixturevalue("redis_url"))
    else:
        with sql_stores(request.getfixturevalue(f"{kind}_url")) as make:
            yield make


def redis_stores(url: str) -> Make:
    import redis

    from lorabay.accounts.ledger.redis_store import RedisStore

    def make(clock: Clock) -> Store:
        with redis.Redis.from_url(url) as client:
            client.flushall()
        return RedisStore(url, clock=clock)

    return make


@contextmanager
def sql_stores(url: str) -> Iterator[Make]:
    from sqlalchemy import delete

    from lorabay.accounts.database.database import open_database
    from lorabay.accounts.ledger.sql_store import LEDGER, SqlStore

    with open_database(url) as database:

        def make(clock: Clock) -> Store:
            database.write(lambda connection: connection.execute(delete(LEDGER)))
            return SqlStore(database, clock=clock)

        yield make


def test_no_order_of_events_passes_a_limit(make_store: Make) -> None:
    """Over each store as over memory."""
    run_machine(make_store, count=3, steps=25)


def test_a_report_is_the_whole_entry(make_store: Make) -> None:
    """Sent twice it counts once, and a store that has lost everything learns it anew."""
    store = make_store(lambda: 1_000.0)
    report = Report(held=10, spent={499: 20}, fresh=30, needs=(5,))
    for _ in range(2):
        reply = store.settle("a", {TOKENS: report})[TOKENS]
        assert (reply.bucket, reply.given, reply.left) == (500, 5, 35)
    assert reply.was_known
    assert reply.tally["a"].spent == {499: 20, 500: 30}


def test_what_one_server_holds_another_cannot_have(make_store: Make) -> None:
    """Each need is met as a whole or not at all, in its order."""
    store = make_store(lambda: 1_000.0)
    store.settle("a", {TOKENS: Report(needs=(80,))})
    reply = store.settle("b", {TOKENS: Report(needs=(15, 10, 1))})[TOKENS]
    assert (reply.given, reply.left, reply.wait_s) == (15, 5, None)


def test_many_counters_are_settled_at_once(make_store: Make) -> None:
    """More than one statement or step holds, each with an answer of its own."""
    store = make_store(lambda: 1_000.0)
    counters = [Counter(f"key:{number}:parallel", MINUTE, number) for number in range(1, 1_100)]
    replies = store.settle("a", {counter: Report(needs=(1,)) for counter in counters})
    assert {
        counter.name: reply.given for counter, reply in replies.items() if reply.given < 1
    } == {}
    assert len(replies) == len(counters)

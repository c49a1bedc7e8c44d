"""64 clients against 600 tokens a minute on one key: on one server, and on two over one store.

Time is virtual; PostgreSQL and Redis are real, and Redis is killed in the middle.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lorabay.accounts.ledger.memory_store import MemoryStore
from lorabay.accounts.ledger.scopes import Scope, ScopeKind
from lorabay.accounts.limits import Limits
from lorabay.errors import RateLimited
from tests.accounts.ledger.cluster import START, WINDOW_S, Cluster, most_in
from tests.accounts.ledger.test_store import redis_stores, sql_stores
from tests.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from lorabay.accounts.ledger.store import Clock, Store
    from tests.fixtures.redis import RedisServer

LIMIT = 600
SCOPES = (Scope(ScopeKind.KEY, "k", Limits(tokens_per_minute=LIMIT)),)
CLIENTS, PROMPT, OUTPUT = 64, 8, 32
MINUTES = 4


class Crowd:
    """Clients that ask again as soon as they are answered, or when they are told to."""

    def __init__(self, servers: int, make: Callable[[Clock], Store]) -> None:
        loop = VirtualTimeLoop()
        self.cluster = Cluster(make(lambda: START + loop.time()), loop)
        for _ in range(servers):
            self.cluster.add_server()
        self.cluster.wait(6.0)
        self.drawn = random.Random(7)
        self.scopes = [SCOPES] * servers
        """What each server knows of the limits."""

    def run(self, minutes: float) -> None:
        """Have all clients ask for so many minutes; any other failure than a 429 is raised."""
        end = self.cluster.now() + 60.0 * minutes

        async def together() -> None:
            await asyncio.gather(*(self._client(number, end) for number in range(CLIENTS)))

        self.cluster.do(together())

    async def _client(self, number: int, end: float) -> None:
        cluster = self.cluster
        place = number % len(cluster.servers)
        server, scopes = cluster.servers[place], self.scopes[place]
        while cluster.now() < end:
            try:
                request = await cluster.reserve(server, scopes, PROMPT + 4 + OUTPUT)
            except RateLimited as error:
                await asyncio.sleep(error.retry_after or 0.0)
                continue

            await cluster.adjust(request, PROMPT + OUTPUT)
            await asyncio.sleep(self.drawn.uniform(0.5, 2.0))
            cluster.commit(request, PROMPT + self.drawn.randrange(16, OUTPUT + 1))

    @property
    def used(self) -> int:
        return sum(request.total for request in self.cluster.log)


def check(crowd: Crowd) -> None:
    """Never over the limit, and not far below it."""
    crowd.run(MINUTES)
    most = crowd.cluster.most_tokens_in_a_minute()
    goodput = crowd.used / MINUTES / LIMIT
    crowd.cluster.close()
    assert (most <= LIMIT, goodput >= 0.8) == (True, True), f"{most} in a minute, {goodput:.2f}"


@pytest.mark.parametrize("servers", [1, 2])
def test_in_memory(servers: int) -> None:
    """One server alone, and two of one process."""
    check(Crowd(servers, MemoryStore))


def test_two_servers_that_know_different_limits() -> None:
    """One has not heard of a change yet: it keeps to what it knows, and both together to the larger
    limit.
    """
    crowd = Crowd(2, MemoryStore)
    small = Limits(tokens_per_minute=LIMIT // 3)
    crowd.scopes[1] = (Scope(ScopeKind.KEY, "k", small),)
    crowd.run(MINUTES)
    cluster = crowd.cluster
    late = [request for request in cluster.log if request.server is cluster.servers[1]]
    most = cluster.most_tokens_in_a_minute()
    most_of_late = most_in(WINDOW_S, [piece for request in late for piece in request.tokens])
    cluster.close()
    assert most <= LIMIT
    assert most_of_late <= LIMIT // 3


def test_two_servers_on_one_postgres(postgres_url: str) -> None:
    """Each takes what it needs of what is left."""
    with sql_stores(postgres_url) as make:
        check(Crowd(2, make))


def test_two_servers_on_one_redis(redis_url: str) -> None:
    """As on a database."""
    check(Crowd(2, redis_stores(redis_url)))


def test_a_redis_that_is_killed_in_the_middle(redis_server: RedisServer, redis_url: str) -> None:
    """Each server keeps to its part, and nothing fails; what Redis has forgotten it is told."""
    crowd = Crowd(2, redis_stores(redis_url))
    crowd.run(1.5)
    redis_server.stop()
    try:
        crowd.run(2.5)
    finally:
        redis_server.start()
    in_outage = crowd.used
    crowd.run(2.0)
    most = crowd.cluster.most_tokens_in_a_minute()
    crowd.cluster.close()
    assert most <= LIMIT
    assert crowd.used - in_outage >= LIMIT / 2

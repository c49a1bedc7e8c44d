"""Limits over several servers, against a plain list of what was let through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lorabay.accounts.ledger.ledger import SharedLedger, Unlimited
from lorabay.accounts.ledger.memory_store import MemoryStore
from lorabay.accounts.ledger.scopes import Scope, ScopeKind
from lorabay.accounts.ledger.store import Clock, Store
from lorabay.accounts.limits import Limits
from lorabay.errors import InvalidRequest, QuotaExceeded, RateLimited
from tests.accounts.ledger.cluster import DAY_S, START, Cluster, Request, Server
from tests.examples import histories
from tests.virtual_time import VirtualTimeLoop

KEY = Scope(
    ScopeKind.KEY,
    "k",
    Limits(requests_per_minute=12, tokens_per_minute=60, tokens_per_day=300, parallel=3),
)
TENANT = Scope(ScopeKind.TENANT, "t", Limits(tokens_per_minute=90, tokens_per_month=100_000))
SCOPES = (KEY, TENANT)
FOREVER = 3 * DAY_S

MakeStore = Callable[[Clock], Store]
few = st.integers(0, 9)


class Machine(RuleBasedStateMachine):
    """Requests come, are counted and end; servers die, lose their store, and idle."""

    make_store: MakeStore

    def __init__(self) -> None:
        super().__init__()
        loop = VirtualTimeLoop()
        self.cluster = Cluster(self.make_store(lambda: START + loop.time()), loop)
        self.cluster.add_server()
        self.cluster.add_server()
        # By then both have heard of one another.
        self.cluster.wait(6.0)
        self.had_outage = False

    def server(self, which: int) -> Server:
        servers = self.cluster.servers
        return servers[which % len(servers)]

    def request(self, which: int) -> Request:
        running = self.cluster.running
        return running[which % len(running)]

    @rule(which=few, tokens=st.integers(1, 60))
    def comes(self, which: int, tokens: int) -> None:
        with suppress(RateLimited):
            self.cluster.do(self.cluster.reserve(self.server(which), SCOPES, tokens))

    @rule(which=few, tokens=st.lists(st.integers(1, 40), min_size=2, max_size=5))
    def several_come(self, which: int, tokens: list[int]) -> None:
        async def together() -> None:
            await asyncio.gather(
                *(
                    self.cluster.reserve(self.server(which + at), SCOPES, amount)
                    for at, amount in enumerate(tokens)
                ),
                return_exceptions=True,
            )

        self.cluster.do(together())

    @precondition(lambda self: self.cluster.running)
    @rule(which=few, tokens=st.integers(1, 60))
    def is_counted(self, which: int, tokens: int) -> None:
        request = self.request(which)
        before = request.total
        try:
            self.cluster.do(self.cluster.adjust(request, tokens))
        except RateLimited:
            assert tokens > before
            assert request.total == before

    @precondition(lambda self: self.cluster.running)
    @rule(which=few, share=st.integers(0, 4))
    def ends(self, which: int, share: int) -> None:
        request = self.request(which)
        self.cluster.commit(request, request.total * share // 4)

    @precondition(lambda self: self.cluster.running)
    @rule(which=few)
    def is_refused(self, which: int) -> None:
        self.cluster.release(self.request(which))

    @rule(seconds=st.sampled_from((0.1, 0.3, 1.0, 2.0, 7.0, 31.0, 61.0)))
    def time_passes(self, seconds: float) -> None:
        self.cluster.wait(seconds)

    # None starts while the store is gone.
    @precondition(lambda self: not self.cluster.servers[0].store.is_gone)
    @rule(which=few)
    def a_server_dies(self, which: int) -> None:
        killed = self.server(which)
        self.cluster.add_server()
        self.cluster.kill(killed)
        # Until its lease ends, what it ran may still run.
        self.cluster.wait(21.0)

    @rule(seconds=st.sampled_from((0.0, 0.5, 3.0, 30.0, 100.0)))
    def the_store_goes(self, seconds: float) -> None:
        self.had_outage = True
        for server in self.cluster.servers:
            server.store.is_gone = True
        self.cluster.wait(seconds)

    @rule()
    def the_store_is_back(self) -> None:
        for server in self.cluster.servers:
            server.store.is_gone = False

    @invariant()
    def no_limit_is_passed(self) -> None:
        assert self.cluster.most_tokens_in_a_minute() <= 60
        assert self.cluster.most_requests_in_a_minute() <= 12
        if self.had_outage:
            # What others run, and used today, is known as it was then.
            return
        assert len(self.cluster.running) <= 3
        assert all(tokens <= 300 for tokens in self.cluster.tokens_of_days().values())

    def teardown(self) -> None:
        try:
            self.all_is_quiet_again()
        finally:
            self.cluster.close()

    def all_is_quiet_again(self) -> None:
        """Nothing is reserved, and all of it can be had."""
        self.the_store_is_back()
        for request in list(self.cluster.running):
            self.cluster.commit(request, 0)
        # Past what dead servers held, and into a new day.
        self.cluster.sleep_through(DAY_S)
        self.cluster.wait(10.0)
        for server in self.cluster.servers:
            assert not any(share.held for share in server.sharing._shares.values())
            everything = self.cluster.do(self.cluster.reserve(server, SCOPES, 60))
            self.cluster.commit(everything, 0)
            self.cluster.wait(100.0)


def run_machine(make: MakeStore, *, count: int, steps: int) -> None:
    """Try histories over stores that `make` makes; each is empty."""

    class Tried(Machine):
        make_store = staticmethod(make)

    run_state_machine_as_test(Tried, settings=histories(count, steps=steps))


def test_no_order_of_events_passes_a_limit() -> None:
    """Nor leaves anything reserved when all is quiet again."""
    run_machine(MemoryStore, count=20, steps=40)


@contextmanager
def cluster_of(count: int, store: Store | None = None) -> Iterator[Cluster]:
    loop = VirtualTimeLoop()
    cluster = Cluster(store or MemoryStore(lambda: START + loop.time()), loop)
    for _ in range(count):
        cluster.add_server()
    try:
        yield cluster
    finally:
        cluster.close()


def only(**limits: int) -> tuple[Scope, ...]:
    return (Scope(ScopeKind.KEY, "k", Limits(**limits)),)


def test_all_limits_or_none() -> None:
    """A request that one limit stops takes nothing of the others."""
    scopes = (*only(tokens_per_minute=100), Scope(ScopeKind.TENANT, "t", Limits(parallel=0 + 1)))
    with cluster_of(1) as cluster:
        first = cluster.do(cluster.reserve(cluster.servers[0], scopes, 40))
        with pytest.raises(RateLimited, match="tenant `t` may run 1 requests at once"):
            cluster.do(cluster.reserve(cluster.servers[0], scopes, 40))
        cluster.commit(first, 40)
        cluster.do(cluster.reserve(cluster.servers[0], scopes, 60))


def test_a_request_that_never_fits_is_a_bad_one() -> None:
    """It names the limit and the value; an estimate alone is not enough to say so."""
    with cluster_of(1) as cluster:
        ledger = cluster.servers[0].ledger
        with pytest.raises(InvalidRequest, match="takes 101 tokens, and key `k` may use 100"):
            cluster.do(ledger.reserve(only(tokens_per_minute=100), 101, at_least=101))
        reservation = cluster.do(ledger.reserve(only(tokens_per_minute=100), 140, at_least=20))
        with pytest.raises(InvalidRequest, match="tokens_per_minute"):
            cluster.do(ledger.adjust(reservation, 130, at_least=130))
        cluster.do(ledger.adjust(reservation, 90, at_least=90))
        ledger.commit(reservation, 90)


def test_a_guess_takes_no_more_than_half_of_a_limit() -> None:
    """Whoever does not say how long an answer may be is not refused for it, nor stops others."""
    with cluster_of(1) as cluster:
        ledger = cluster.servers[0].ledger
        reservation = cluster.do(ledger.reserve(only(tokens_per_minute=100), 900, at_least=5))
        assert [part.amount for part in reservation.parts] == [50]
        cluster.do(ledger.adjust(reservation, 900, at_least=70))
        assert [part.amount for part in reservation.parts] == [70]
        ledger.release(reservation)


def test_a_day_that_is_used_up_is_a_quota() -> None:
    """Another code, and the time of its end, though it is far away."""
    with cluster_of(1) as cluster:
        cluster.wait(200.0)  # past midnight
        server = cluster.servers[0]
        used = cluster.do(cluster.reserve(server, only(tokens_per_day=50), 50))
        cluster.commit(used, 50)
        with pytest.raises(QuotaExceeded) as refused:
            cluster.do(cluster.reserve(server, only(tokens_per_day=50), 1))
        assert refused.value.retry_after == pytest.approx(DAY_S - 100.0, abs=5.0)


def test_more_than_was_reserved_counts() -> None:
    """The answer was longer than anybody had asked for: the next request waits for that."""
    with cluster_of(1) as cluster:
        server = cluster.servers[0]
        for limits in ({"tokens_per_minute": 100}, {"tokens_per_day": 100}):
            request = cluster.do(cluster.reserve(server, only(**limits), 10))
            server.ledger.commit(request.reservation, 95)
            cluster.running.remove(request)
            with pytest.raises(RateLimited):
                cluster.do(cluster.reserve(server, only(**limits), 6))
            cluster.do(cluster.reserve(server, only(**limits), 5))


def test_more_than_was_reserved_counts_after_a_long_answer() -> None:
    """Bug: what an answer of over a minute took beyond its reservation was counted as long ago."""
    with cluster_of(1) as cluster:
        server = cluster.servers[0]
        request = cluster.do(cluster.reserve(server, only(tokens_per_minute=100), 10))
        cluster.wait(90.0)
        # What was reserved has ended with its minute; the rest counts now.
        server.ledger.commit(request.reservation, 10 + 95)
        cluster.running.remove(request)
        with pytest.raises(RateLimited):
            cluster.do(cluster.reserve(server, only(tokens_per_minute=100), 6))


def test_ending_twice_is_ending_once() -> None:
    """Whatever comes second changes nothing."""
    with cluster_of(1) as cluster:
        ledger = cluster.servers[0].ledger
        reservation = cluster.do(ledger.reserve(only(tokens_per_minute=100), 80, at_least=80))
        ledger.commit(reservation, 60)
        ledger.commit(reservation, 60)
        ledger.release(reservation)
        cluster.do(ledger.reserve(only(tokens_per_minute=100), 40, at_least=40))
        with pytest.raises(RateLimited):
            cluster.do(ledger.reserve(only(tokens_per_minute=100), 1, at_least=1))


def test_a_request_that_ends_while_it_is_adjusted_holds_nothing() -> None:
    """Bug: what came for it then was held for ever, since nobody ended it again."""
    with cluster_of(1) as cluster:
        server = cluster.servers[0]
        reservation = cluster.do(server.ledger.reserve(only(tokens_per_day=1000), 10, at_least=10))

        async def end_meanwhile() -> None:
            adjusting = asyncio.create_task(server.ledger.adjust(reservation, 500, at_least=500))
            await asyncio.sleep(0)
            server.ledger.commit(reservation, 10)
            await adjusting

        cluster.do(end_meanwhile())
        assert server.sharing.is_at_rest
        cluster.do(server.ledger.reserve(only(tokens_per_day=1000), 990, at_least=990))


def test_what_is_left_elsewhere_is_had_within_a_moment() -> None:
    """A server that needs nothing does not keep a limit from another one."""
    with cluster_of(2) as cluster:
        first, second = cluster.servers
        cluster.commit(cluster.do(cluster.reserve(first, only(tokens_per_minute=600), 100)), 0)
        cluster.wait(12.0)
        cluster.do(cluster.reserve(second, only(tokens_per_minute=600), 600))


def test_requests_are_answered_from_memory() -> None:
    """With much left, the store is asked in rounds, not for each request."""
    asked = 0

    class Counting(MemoryStore):
        def settle(self, server, reports):  # type: ignore[no-untyped-def]
            nonlocal asked
            asked += 1
            return super().settle(server, reports)

    loop_free = Counting(lambda: START)
    with cluster_of(1, loop_free) as cluster:
        server = cluster.servers[0]
        scopes = only(tokens_per_minute=1_000_000, requests_per_minute=10_000, parallel=1_000)
        for _ in range(50):
            cluster.commit(cluster.do(cluster.reserve(server, scopes, 100)), 50)
    assert asked < 5


async def test_nobody_is_limited_without_limits() -> None:
    """A ledger for servers without accounts, and one without scopes, take every request."""
    for ledger in (Unlimited(), cluster_free()):
        reservation = await ledger.reserve((), 10**9, at_least=1)
        await ledger.adjust(reservation, 10**12, at_least=10**12)
        ledger.commit(reservation, 10**12)
        ledger.release(reservation)
        assert reservation.parts == []


def cluster_free() -> SharedLedger:
    """Return a ledger that is never asked about a limit."""
    return SharedLedger(None, None)  # type: ignore[arg-type]

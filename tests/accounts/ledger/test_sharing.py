"""Rounds: who joins one, what is reported in it, and what goes back."""

from __future__ import annotations

import asyncio

from lorabay.accounts.ledger.guarded_store import TRY_AGAIN_S
from lorabay.accounts.ledger.memory_store import MemoryStore
from lorabay.accounts.ledger.periods import MINUTE
from lorabay.accounts.ledger.share import Share
from lorabay.accounts.ledger.sharing import HEARTBEAT_S, STALE_S
from lorabay.accounts.ledger.store import Replies, Reports
from lorabay.accounts.ledger.tally import Counter
from tests.accounts.ledger.cluster import START, Cluster
from tests.virtual_time import VirtualTimeLoop

TOKENS = Counter("key:k:tokens_per_minute", MINUTE, 100)


class Noting(MemoryStore):
    """A store that notes every round."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__(lambda: START + loop.time())
        self.rounds: list[Reports] = []

    def settle(self, server: str, reports: Reports) -> Replies:
        self.rounds.append(reports)
        return super().settle(server, reports)


def made() -> tuple[Cluster, Noting]:
    loop = VirtualTimeLoop()
    store = Noting(loop)
    cluster = Cluster(store, loop)
    cluster.add_server()
    cluster.wait(0.1)
    return cluster, store


def filled(cluster: Cluster) -> Share:
    """Let the first server have ten tokens of the limit, which nobody spends; return its share."""
    sharing = cluster.servers[0].sharing
    share = sharing.share_of(TOKENS)
    share.needs.append(10)
    cluster.do(sharing.fill())
    share.needs.clear()
    return share


def test_those_who_wait_share_a_round() -> None:
    """One that goes on already does not know of them; the next one does."""
    cluster, store = made()
    sharing = cluster.servers[0].sharing
    share = sharing.share_of(TOKENS)
    before = len(store.rounds)

    async def together() -> None:
        share.needs.append(1)
        first = asyncio.create_task(sharing.fill())
        await asyncio.sleep(0)
        await asyncio.gather(first, *(sharing.fill() for _ in range(10)))

    cluster.do(together())
    assert len(store.rounds) - before <= 3
    cluster.close()


def test_a_server_that_idles_keeps_nothing_and_still_lives() -> None:
    """What was free goes back; a report comes often enough to be known."""
    cluster, store = made()
    sharing = cluster.servers[0].sharing
    share = filled(cluster)
    assert share.free >= 10
    cluster.wait(90.0)
    assert share.free == 0
    assert sharing.is_at_rest
    before = len(store.rounds)
    cluster.wait(4 * HEARTBEAT_S)
    assert 3 <= len(store.rounds) - before <= 5
    cluster.close()


def test_a_server_that_slept_does_not_spend_what_it_had() -> None:
    """Others may have it by now."""
    cluster, _ = made()
    sharing = cluster.servers[0].sharing
    filled(cluster)
    cluster.sleep_through(2 * STALE_S)
    assert sharing.share_of(TOKENS).free == 0
    cluster.close()


def test_a_limit_that_is_changed_holds_at_once() -> None:
    """What was had under the former one goes back."""
    cluster, _ = made()
    sharing = cluster.servers[0].sharing
    share = filled(cluster)
    lower = Counter(TOKENS.name, MINUTE, 5)
    assert sharing.share_of(lower) is share
    assert (share.free, share.counter.limit) == (0, 5)
    cluster.close()


def test_closing_gives_everything_back() -> None:
    """The other servers need not wait for the end of a lease."""
    cluster, store = made()
    sharing = cluster.servers[0].sharing
    filled(cluster)
    cluster.do(sharing.close())
    assert store.rounds[-1][TOKENS].held == 0
    cluster.close()


def test_a_share_whose_minute_is_over_is_dropped() -> None:
    """Bug: each key that ever came cost memory, and time four times a second, for ever."""
    cluster, _ = made()
    sharing = cluster.servers[0].sharing
    share = filled(cluster)
    share.settle(share.take(10), 10)
    cluster.wait(180.0)
    assert sharing._shares == {}
    cluster.close()


def test_a_share_is_kept_for_a_request_that_waits_for_another_one() -> None:
    """Bug: what was dropped meanwhile got nothing any more, and the request was refused."""
    cluster, _ = made()
    sharing = cluster.servers[0].sharing
    share = filled(cluster)
    share.give_back()
    cluster.wait(1.0)
    share.needs.append(10)
    cluster.do(sharing.fill())
    assert share.free >= 10
    cluster.close()


class Failing(Noting):
    """A store that has a bug while it is told to."""

    has_bug = False

    def settle(self, server: str, reports: Reports) -> Replies:
        if self.has_bug:
            raise KeyError("a bug")
        return super().settle(server, reports)


def test_a_bug_ends_no_reports() -> None:
    """Bug: after one failure a server told nothing any more, and was taken for dead."""
    loop = VirtualTimeLoop()
    store = Failing(loop)
    cluster = Cluster(store, loop)
    server = cluster.add_server()
    cluster.wait(0.1)
    share = filled(cluster)
    charge = share.take(10)

    store.has_bug = True
    cluster.wait(1.0)
    store.has_bug = False
    before = len(store.rounds)
    cluster.wait(HEARTBEAT_S + TRY_AGAIN_S)
    assert any(TOKENS in reports for reports in store.rounds[before:])
    assert not server.life.done()

    share.settle(charge, 10)
    cluster.wait(1.0)
    assert [reports[TOKENS] for reports in store.rounds if TOKENS in reports][-1].spent
    cluster.close()


def test_what_a_server_holds_stays_while_its_store_is_gone() -> None:
    """Bug: it gave it back after a moment, and refused callers who had hardly used their limit."""
    cluster, _ = made()
    server = cluster.servers[0]
    share = filled(cluster)
    server.store.is_gone = True
    held = share.free
    assert held > 1
    cluster.wait(HEARTBEAT_S)
    server.sharing.share_of(TOKENS)
    share.take(1)
    cluster.wait(5.0)
    assert share.free == held - 1
    cluster.close()

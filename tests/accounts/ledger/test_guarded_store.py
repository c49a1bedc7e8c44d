"""A server whose store goes, comes back, hangs, or has lost everything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from lorabay.accounts.ledger.guarded_store import (
    ANSWER_S,
    BACK_S,
    TRY_AGAIN_S,
    GuardedStore,
    Trust,
)
from lorabay.accounts.ledger.memory_store import MemoryStore
from lorabay.accounts.ledger.periods import MINUTE
from lorabay.accounts.ledger.store import SERVERS, Replies, Reports
from lorabay.accounts.ledger.tally import Counter, Report
from tests.accounts.ledger.cluster import START, Breakable
from tests.virtual_time import VirtualTimeLoop

TOKENS = Counter("key:k:tokens_per_minute", MINUTE, 100)
ASKS = {TOKENS: Report(needs=(10,))}


class Bench:
    """Two servers on one store, in virtual time."""

    def __init__(self) -> None:
        self.loop = VirtualTimeLoop()
        self.told: list[bool] = []
        store = MemoryStore(self.now)
        self.store, other = Breakable(store), Breakable(store)
        self.guarded = GuardedStore(self.store, "a", gone=self.told.append, clock=self.now)
        self.other = GuardedStore(other, "b", clock=self.now)
        self.settle(self.other, {})

    def now(self) -> float:
        return START + self.loop.time()

    def settle(self, guarded: GuardedStore, reports: Reports) -> Replies:
        return self.loop.run_until_complete(guarded.settle(reports))

    def ask(self, **report: object) -> int:
        reports = {TOKENS: Report(**{"needs": (10,)} | report)}  # type: ignore[arg-type]
        return self.settle(self.guarded, reports)[TOKENS].given

    def wait(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.loop.close()


def test_a_server_keeps_to_its_part_until_its_store_is_back(bench: Bench) -> None:
    """Nothing for a minute, then a half of the limit; then both decide for a while, then the store
    alone.
    """
    assert bench.ask() > 0
    bench.store.is_gone = True
    assert bench.ask() == 0
    assert bench.guarded.trust is Trust.GONE

    bench.wait(62.5)
    assert bench.ask(needs=(51,)) == 0
    assert bench.ask(needs=(50,)) == 50

    bench.store.is_gone = False
    bench.wait(TRY_AGAIN_S)
    bench.settle(bench.guarded, {})
    assert bench.guarded.trust is Trust.BACK
    assert bench.ask(held=50) == 0

    bench.wait(BACK_S)
    bench.settle(bench.guarded, {})
    assert bench.guarded.trust is Trust.RELIED_ON
    assert bench.told == [True, False]


def test_a_store_that_is_gone_is_not_asked_by_every_request(bench: Bench) -> None:
    """Only once in a while."""
    asked = 0
    settle = bench.store.settle

    def counting(server: str, reports: Reports) -> Replies:
        nonlocal asked
        asked += 1
        return settle(server, reports)

    bench.store.is_gone = True
    bench.store.settle = counting  # type: ignore[method-assign]
    for _ in range(100):
        bench.ask()
    assert asked == 1


def test_a_store_that_has_lost_everything_is_told_everything(bench: Bench) -> None:
    """It answers, and knows nobody: the server's part bounds what it gives until it has heard."""
    assert bench.ask() > 0
    bench.store.store = MemoryStore(bench.now)
    assert bench.ask(held=20) == 0
    assert bench.guarded.trust is Trust.BACK
    assert bench.guarded.wants_everything
    bench.settle(bench.guarded, {TOKENS: Report(held=20, spent={int(bench.now() // 2): 7})})
    assert not bench.guarded.wants_everything
    tally = bench.store.store.settle("b", {TOKENS: Report()})[TOKENS].tally
    assert tally["a"].total == 27


async def test_a_store_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken for gone, and not asked again before it has answered."""
    monkeypatch.setattr("lorabay.accounts.ledger.guarded_store.ANSWER_S", ANSWER_S / 100)
    monkeypatch.setattr("lorabay.accounts.ledger.guarded_store.TRY_AGAIN_S", 0.0)
    may_answer, asked = threading.Event(), []

    class Hanging(MemoryStore):
        def settle(self, server: str, reports: Reports) -> Replies:
            asked.append(reports)
            may_answer.wait()
            return super().settle(server, reports)

    guarded = GuardedStore(Hanging(), "a")
    for _ in range(3):
        assert (await guarded.settle(ASKS))[TOKENS].given == 0
    assert len(asked) == 1
    may_answer.set()
    while guarded.trust is Trust.GONE:
        await asyncio.sleep(0)
        await guarded.settle(ASKS)
    assert asked[-1].keys() == {TOKENS, SERVERS}

"""Shares of an engine, in virtual time: a simulated engine that computes a token a second."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from lorabay.serving.turns.fair_queue import FairQueue
from lorabay.serving.turns.flows import Flow, Priority
from tests.examples import examples, histories

A, B, C, D = (Flow(name, "finance") for name in "abcd")


@dataclass
class Engine:
    """An engine of `places`; a request with a place costs one a second. `guess` is charged first.

    `backlog` are flows that always have so many requests waiting, of the costs that they repeat.
    """

    places: int
    guess: float | None = None
    queue: FairQueue[int] = field(default_factory=FairQueue)
    costs: dict[int, tuple[Flow, float]] = field(default_factory=dict)
    running: list[tuple[float, int]] = field(default_factory=list)
    served: Counter[Flow] = field(default_factory=Counter)
    """Cost of what has begun, by flow."""
    begun: list[Flow] = field(default_factory=list)
    now: float = 0.0
    numbers: count[int] = field(default_factory=count)

    def ask(self, flow: Flow, cost: float, times: int = 1) -> None:
        """Let requests wait."""
        for _ in range(times):
            number = next(self.numbers)
            self.costs[number] = (flow, cost)
            self.queue.enter(flow, number)

    def _guessed(self, number: int) -> float:
        return self.costs[number][1] if self.guess is None else self.guess

    def begin(self) -> None:
        """Fill the places."""
        while len(self.running) < self.places:
            number = self.queue.go(lambda _: True, self._guessed)
            if number is None:
                return
            flow, cost = self.costs[number]
            self.begun.append(flow)
            self.served[flow] += cost
            heapq.heappush(self.running, (self.now + cost, number))

    def end_one(self) -> Flow:
        """End the request that ends next; return whose it was."""
        self.now, number = heapq.heappop(self.running)
        flow, cost = self.costs[number]
        self.queue.end(flow, cost - self._guessed(number))
        return flow

    def run(self, backlog: Mapping[Flow, Sequence[float]], *, cost: float) -> None:
        """Run with flows that always wait, until so much more has been served."""
        until = sum(self.served.values()) + cost
        turns: Counter[Flow] = Counter()
        for flow, costs in backlog.items():
            for _ in range(2 + self.places):
                self.ask(flow, costs[turns[flow] % len(costs)])
                turns[flow] += 1
        while sum(self.served.values()) < until:
            self.begin()
            flow = self.end_one()
            if flow in backlog:
                self.ask(flow, backlog[flow][turns[flow] % len(backlog[flow])])
                turns[flow] += 1


def jain(shares: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 if all are equal, 1 / n if one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


costs = st.lists(st.floats(10.0, 50.0), min_size=1, max_size=5)
FEW = settings(max_examples=examples(20), deadline=None)


@FEW
@given(
    st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0]), costs), min_size=2, max_size=4),
    st.integers(1, 12),
    st.none() | st.floats(10.0, 50.0),
)
def test_shares_are_those_of_the_weights(
    tenants: list[tuple[float, list[float]]], places: int, guess: float | None
) -> None:
    """Within a tenth, whatever requests cost and however wrong the guess is; and nobody starves."""
    flows = [
        Flow(str(number), "finance", tenant_weight=weight)
        for number, (weight, _) in enumerate(tenants)
    ]
    backlog = {flow: asked for flow, (_, asked) in zip(flows, tenants, strict=True)}
    engine = Engine(places, guess)
    engine.run(backlog, cost=20_000.0)

    total = sum(engine.served.values())
    weights = sum(flow.tenant_weight for flow in flows)
    for flow in flows:
        assert engine.served[flow] / total == pytest.approx(flow.tenant_weight / weights, rel=0.1)
    assert jain([engine.served[flow] / flow.tenant_weight for flow in flows]) >= 0.95


@FEW
@given(costs, costs, st.integers(1, 8))
def test_a_tenant_gains_nothing_by_many_adapters(
    many: list[float], one: list[float], places: int
) -> None:
    """Tenants share the engine first, and a tenant's adapters its share."""
    backlog = {Flow("many", str(number)): many for number in range(4)} | {A: one}
    engine = Engine(places)
    engine.run(backlog, cost=20_000.0)
    total = sum(engine.served.values())
    assert engine.served[A] / total == pytest.approx(0.5, rel=0.1)
    assert jain([engine.served[flow] for flow in backlog if flow != A]) >= 0.95


def test_adapters_of_a_tenant_share_by_their_weights() -> None:
    """One to three, of what the tenant has."""
    light, heavy = Flow("t", "light"), Flow("t", "heavy", adapter_weight=3.0)
    engine = Engine(4)
    engine.run({light: [10.0], heavy: [10.0]}, cost=8_000.0)
    assert engine.served[heavy] / engine.served[light] == pytest.approx(3.0, rel=0.1)


@FEW
@given(st.floats(100.0, 5_000.0), st.integers(1, 4), costs)
def test_an_idle_flow_gains_nothing_by_having_slept(
    slept: float, places: int, asked: list[float]
) -> None:
    """When it wakes it shares from then on: it does not make up for what it did not ask."""
    engine = Engine(places)
    engine.run({A: asked, B: asked}, cost=slept)
    before = Counter(engine.served)
    engine.run({A: asked, C: asked}, cost=6_000.0)
    later = engine.served - before
    # B's backlog is served out beside them.
    assert later[C] <= later[A] * 1.1 + 2 * max(asked) * places
    assert later[A] <= later[C] * 1.1 + 2 * max(asked) * places


@FEW
@given(costs, st.integers(1, 4))
def test_an_engine_at_rest_lifts_whoever_comes(asked: list[float], places: int) -> None:
    """Nobody waits when the sleeper wakes: then it is lifted to whoever went last."""
    engine = Engine(places)
    for _ in range(200):
        engine.ask(A, 10.0)
        engine.begin()
        engine.end_one()
    before = engine.served[A]
    engine.run({A: asked, B: asked}, cost=4_000.0)
    assert engine.served[B] == pytest.approx(engine.served[A] - before, rel=0.1, abs=100.0)


def test_one_request_beside_a_flood_goes_next() -> None:
    """A single request of B overtakes everything that A has waiting."""
    engine = Engine(2)
    engine.ask(A, 10.0, times=64)
    engine.begin()
    engine.ask(B, 10.0)
    engine.end_one()
    engine.begin()
    engine.end_one()
    engine.begin()
    assert B in engine.begun[:4]


def test_a_higher_class_goes_first() -> None:
    """Whatever it has used; within its class a tenant's counter counts."""
    high, low = Flow("h", "x", Priority.HIGH), Flow("l", "x", Priority.LOW)
    engine = Engine(1)
    engine.ask(low, 1.0, times=2)
    engine.ask(A, 1.0, times=2)
    engine.ask(high, 1_000.0, times=3)
    for _ in range(7):
        engine.begin()
        engine.end_one()
    assert engine.begun == [high] * 3 + [A] * 2 + [low] * 2


def test_a_class_that_waits_does_not_hold_down_another_one() -> None:
    """Whoever comes is lifted to those of its own class, not to those who cannot go."""
    engine = Engine(1)
    engine.ask(Flow("low", "x", Priority.LOW), 1.0)
    engine.run({Flow("h1", "x", Priority.HIGH): [10.0]}, cost=1_000.0)
    before = engine.served.copy()
    one, other = Flow("h1", "x", Priority.HIGH), Flow("h2", "x", Priority.HIGH)
    engine.run({one: [10.0], other: [10.0]}, cost=1_000.0)
    later = engine.served - before
    assert later[other] <= later[one] * 1.1


def test_whoever_may_not_go_is_passed_over() -> None:
    """It goes as soon as it may, ahead of those who have used more meanwhile."""
    queue: FairQueue[str] = FairQueue()
    for name in ("a1", "a2", "a3"):
        queue.enter(A, name)
    queue.enter(B, "b1")

    def blocked(request: str) -> bool:
        return request != "b1"

    assert [queue.go(blocked, lambda _: 5.0) for _ in range(2)] == ["a1", "a2"]
    assert queue.go(lambda _: True, lambda _: 5.0) == "b1"
    assert queue.go(lambda _: False, lambda _: 5.0) is None


def test_lanes_of_a_flow_do_not_block_one_another() -> None:
    """A version without a slot waits, and requests for another version of the adapter go."""
    queue: FairQueue[str] = FairQueue()
    queue.enter(A, "new", "v2")
    queue.enter(A, "old", "v1")
    assert sorted(queue.heads()) == ["new", "old"]
    assert queue.go(lambda request: request == "old", lambda _: 1.0) == "old"


class Book(RuleBasedStateMachine):
    """A queue beside a list of who waits and a list of who runs."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[int] = FairQueue()
        self.numbers = count()
        self.waiting: dict[int, Flow] = {}
        self.running: list[Flow] = []

    @rule(flow=st.sampled_from([A, B, C, Flow("a", "shop"), Flow("a", "x", Priority.LOW)]))
    def enter(self, flow: Flow) -> None:
        number = next(self.numbers)
        self.queue.enter(flow, number)
        self.waiting[number] = flow

    @rule(cost=st.floats(0.0, 100.0))
    def go(self, cost: float) -> None:
        request = self.queue.go(lambda _: True, lambda _: cost)
        if request is None:
            assert not self.waiting
        else:
            self.running.append(self.waiting.pop(request))

    @rule(index=st.integers(0, 9))
    def leave(self, index: int) -> None:
        if self.waiting:
            number = list(self.waiting)[index % len(self.waiting)]
            flow = self.waiting.pop(number)
            assert self.queue.leave(flow, number)
            assert not self.queue.leave(flow, number)

    @rule(index=st.integers(0, 9), too_little=st.floats(-50.0, 50.0))
    def end(self, index: int, too_little: float) -> None:
        if self.running:
            self.queue.end(self.running.pop(index % len(self.running)), too_little)

    @invariant()
    def counts_are_those_of_the_lists(self) -> None:
        assert len(self.queue) == len(self.waiting)
        for tenant in "abc":
            expected = sum(flow.tenant == tenant for flow in self.waiting.values())
            assert self.queue.of_tenant(tenant) == expected

    def teardown(self) -> None:
        """Every request goes once, and then nothing is kept of who asked."""
        while self.waiting:
            self.go(1.0)
        for flow in self.running:
            self.queue.end(flow, 0.0)
        assert not any(group.tenants for group in self.queue._classes.values())


def test_every_request_goes_or_leaves_once() -> None:
    """Whatever happens in which order, and nothing is kept afterwards."""
    run_state_machine_as_test(Book, settings=histories(30, steps=40))

"""The simulator counts what it says, on traces whose figures one can compute by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.choice.rendezvous import ReplicaId
from lorabay.cluster.simulation.cluster import Cluster, Shape
from lorabay.cluster.simulation.policies import OURS, POLICIES
from lorabay.cluster.simulation.simulator import Outcome, simulate
from lorabay.cluster.simulation.trace import Trace
from lorabay.cluster.simulation.traces import Size, bursts


class InTurn:
    """One replica after the other."""

    def __init__(self) -> None:
        self._given = 0

    def choose(self, wish: Wish, cluster: Cluster, now: float) -> ReplicaId:
        self._given += 1
        return cluster.view.replicas[(self._given - 1) % len(cluster.view.replicas)]


def trace(at_s: list[float], adapter: list[int], takes_s: float = 1.0) -> Trace:
    count = len(at_s)
    return Trace(
        "made",
        max(adapter) + 1,
        np.array(at_s),
        np.array(adapter),
        np.arange(count),
        np.full(count, takes_s),
        load_s=np.full(max(adapter) + 1, 0.5),
    )


def test_a_load_delays_its_request() -> None:
    """The first one waits for the weights; the next one finds them."""
    found = simulate(trace([0, 5], [0, 0]), InTurn(), Shape(replicas=1, slots=1))
    assert found.loads == 1
    assert found.waits_s.tolist() == [0.5, 0]
    assert found.imbalance == 1


def test_a_full_window_makes_wait() -> None:
    """One at a time: each waits for those before it."""
    found = simulate(trace([0, 0, 0], [0, 0, 0]), InTurn(), Shape(1, slots=1, window=1))
    assert found.waits_s.tolist() == pytest.approx([0.5, 1.5, 2.5])


def test_one_slot_is_shared_in_turns() -> None:
    """Another adapter must wait until the slot's requests have ended, and then load."""
    found = simulate(trace([0, 0, 9], [0, 1, 0]), InTurn(), Shape(1, slots=1))
    assert found.loads_per_request == 1
    assert found.waits_s.tolist() == pytest.approx([0.5, 2.0, 0.5])
    assert found.wait_s(100) == pytest.approx(2.0)


def test_work_is_counted_by_replica() -> None:
    found = simulate(trace([0, 1, 2], [0, 0, 0]), InTurn(), Shape(replicas=2, slots=1))
    assert found.work_s.tolist() == [2, 1]
    assert found.imbalance == pytest.approx(4 / 3)
    assert found.loads == 2


def test_ours_loads_less_than_those_that_know_no_adapters() -> None:
    """Conversations of 300 adapters over 4 replicas of 16 slots, at 60 % of their windows."""
    shape = Shape(replicas=4, slots=16, window=32)
    made = bursts(Size(6000, 300, at_once=0.6 * 128))
    outcomes: dict[str, Outcome] = {
        name: simulate(made, make(0), shape) for name, make in POLICIES.items()
    }
    ours = outcomes[OURS].loads
    assert all(ours < 0.5 * outcomes[name].loads for name in ("random", "power of two"))

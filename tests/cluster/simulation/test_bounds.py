"""What no choice can go below, on traces whose figures one can compute by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lorabay.cluster.simulation.bounds import fixed, foreseen, in_use
from lorabay.cluster.simulation.cluster import Shape
from lorabay.cluster.simulation.policies import POLICIES
from lorabay.cluster.simulation.simulator import simulate
from lorabay.cluster.simulation.trace import Trace
from lorabay.cluster.simulation.traces import TRACES, Size


def trace(adapter: list[int], takes_s: float = 0.1) -> Trace:
    """Requests of one adapter after the other, a second apart."""
    count = len(adapter)
    return Trace(
        "made",
        max(adapter) + 1,
        np.arange(count, dtype=np.float64),
        np.array(adapter),
        np.arange(count),
        np.full(count, takes_s),
        load_s=np.zeros(max(adapter) + 1),
    )


def test_the_most_popular_are_loaded_once() -> None:
    """With one place, adapter 0 has it: it is loaded once, and the others each time."""
    assert fixed(trace([0, 1, 0, 2, 0]), places=1) == 3 / 5
    assert fixed(trace([0, 1, 0, 2, 0]), places=3) == 3 / 5
    assert fixed(trace([0, 0, 0, 0]), places=1) == 1 / 4


def test_what_is_in_use_takes_a_place_from_the_popular() -> None:
    """Adapter 0 is asked for while 1 runs in the only place; without that it never misses."""
    assert in_use(trace([0, 1, 0, 0]), places=1) == 1 / 4
    assert in_use(trace([0, 1, 0, 0], takes_s=1.5), places=1) == 2 / 4


def test_whoever_knows_the_future_drops_what_is_wanted_latest() -> None:
    """Two places for 0, 1, 2, 0, 1: of 0 and 1 the latter goes, and 2 goes for its return."""
    assert foreseen(trace([0, 1, 2, 0, 1]), places=2) == 4 / 5
    assert foreseen(trace([0, 1, 2, 0, 1]), places=3) == 3 / 5


@pytest.mark.parametrize("name", TRACES)
def test_no_way_to_choose_is_below_what_is_foreseen(name: str) -> None:
    made = TRACES[name](Size(3000, 120, at_once=0.6 * 3 * 64))
    least = foreseen(made, places=3 * 8)
    for policy in POLICIES.values():
        assert simulate(made, policy(0), Shape(3, 8)).loads_per_request >= least


def test_no_way_to_choose_is_below_the_bound_of_independent_requests() -> None:
    """Luck of one drawing aside."""
    made = TRACES["zipf"](Size(6000, 200, at_once=0.6 * 3 * 64))
    least = in_use(made, places=3 * 20)
    assert least >= 0.9 * fixed(made, places=3 * 20)
    for policy in POLICIES.values():
        assert simulate(made, policy(0), Shape(3, 20)).loads_per_request >= 0.98 * least

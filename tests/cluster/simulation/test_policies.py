"""Ways to choose, which ours is compared with, do what they are named after."""

from __future__ import annotations

from collections import Counter

import pytest

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.simulation.cluster import Cluster, Shape
from lorabay.cluster.simulation.policies import POLICIES, LeastLoaded, Multiplexing, PowerOfTwo

KEYS = ["a", "b"]


@pytest.fixture
def cluster() -> Cluster:
    """Four replicas; the first has three requests of `a`, and holds it."""
    made = Cluster(Shape(replicas=4, slots=2, window=4), KEYS)
    for _ in range(3):
        made.give(0, made.view.replicas[0])
        made.begin(0, made.view.replicas[0], now=0)
    return made


@pytest.mark.parametrize("name", POLICIES)
def test_a_seed_decides(name: str, cluster: Cluster) -> None:
    """Every way names a replica, and the same ones when it is asked anew."""
    first, second = (
        [policy.choose(Wish("b", str(n)), cluster, n / 10) for n in range(50)]
        for policy in (POLICIES[name](3), POLICIES[name](3))
    )
    assert first == second
    assert set(first) <= set(cluster.view.replicas)


def test_least_loaded_never_takes_the_busy_one(cluster: Cluster) -> None:
    policy = LeastLoaded(0)
    chosen = {policy.choose(Wish("a"), cluster, 0) for _ in range(50)}
    assert chosen == set(cluster.view.replicas[1:])


def test_power_of_two_seldom_takes_the_busy_one(cluster: Cluster) -> None:
    """Only when both are the same, which is once in 16."""
    policy = PowerOfTwo(0)
    counts = Counter(policy.choose(Wish("a"), cluster, 0) for _ in range(1600))
    assert 50 < counts[cluster.view.replicas[0]] < 150


def test_multiplexing_pins_to_the_holder(cluster: Cluster) -> None:
    """Until its window is full; then one with the fewest adapters is next. A new adapter goes
    there, too.
    """
    holder = cluster.view.replicas[0]
    policy = Multiplexing(0)
    assert {policy.choose(Wish("a"), cluster, 0) for _ in range(20)} == {holder}
    assert holder not in {policy.choose(Wish("b"), cluster, 0) for _ in range(20)}

    cluster.give(0, holder)
    assert holder not in {policy.choose(Wish("a"), cluster, 0) for _ in range(20)}

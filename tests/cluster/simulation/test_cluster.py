"""What a router sees of a simulated cluster is what is there."""

from __future__ import annotations

from lorabay.cluster.simulation.cluster import Cluster, Shape

KEYS = ["a", "b", "c"]


def test_counts_follow_requests() -> None:
    """Loads, running requests and holders, from the first request to the last."""
    cluster = Cluster(Shape(replicas=2, slots=1, window=4), KEYS)
    one, other = cluster.view.replicas
    cluster.give(0, one)
    assert cluster.begin(0, one, now=0)
    cluster.give(0, other)
    assert (cluster.total, cluster.view.loads[one], cluster.view.running["a"]) == (2, 1, 2)
    assert cluster.view.holders["a"] == {one}

    cluster.end(0, one)
    cluster.give(1, one)
    assert cluster.begin(1, one, now=0)
    assert cluster.view.holders["a"] == set()
    assert cluster.view.holders["b"] == {one}
    assert cluster.view.room == {one: 0, other: 1}

    cluster.end(1, one)
    assert not cluster.begin(1, one, now=0)
    assert cluster.view.running["b"] == 0

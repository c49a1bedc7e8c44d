"""One simulated replica: its window and its slots."""

from __future__ import annotations

from lorabay.cluster.simulation.replica import SimulatedReplica


def test_the_longest_unused_gives_up_its_slot() -> None:
    replica = SimulatedReplica(window=4, slots=2)
    for adapter in (1, 2, 1):
        assert replica.begin(adapter) is None
        replica.end(adapter)
    assert replica.begin(3) == 2
    assert set(replica.held) == {1, 3}


def test_an_adapter_in_use_keeps_its_slot() -> None:
    """A third adapter waits while both slots are in use, and others of the two do not."""
    replica = SimulatedReplica(window=4, slots=2)
    replica.begin(1)
    replica.begin(2)
    assert not replica.can_begin(3)
    assert replica.can_begin(1)
    replica.end(1)
    assert replica.can_begin(3)


def test_a_full_window_takes_nothing() -> None:
    replica = SimulatedReplica(window=2, slots=2)
    replica.begin(1)
    replica.begin(1)
    assert not replica.can_begin(1)
    replica.end(1)
    assert replica.can_begin(1)

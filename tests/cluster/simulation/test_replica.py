"""One simulated replica: its window and its slots."""

from __future__ import annotations

from lorabay.cluster.simulation.replica import SimulatedReplica


def test_what_is_asked_for_least_gives_up_its_slot() -> None:
    """Of equal ones the longest unused."""
    replica = SimulatedReplica(window=4, slots=2)
    for now, adapter in enumerate((1, 1, 2)):
        assert replica.begin(adapter, now) is None
        replica.end(adapter)
    assert replica.begin(3, 3) == 2
    assert set(replica.held) == {1, 3}


def test_an_adapter_in_use_keeps_its_slot() -> None:
    """A third adapter waits while both slots are in use, and others of the two do not."""
    replica = SimulatedReplica(window=4, slots=2)
    replica.begin(1, 0)
    replica.begin(2, 0)
    assert not replica.can_begin(3)
    assert replica.can_begin(1)
    replica.end(1)
    assert replica.can_begin(3)


def test_a_full_window_takes_nothing() -> None:
    replica = SimulatedReplica(window=2, slots=2)
    replica.begin(1, 0)
    replica.begin(1, 0)
    assert not replica.can_begin(1)
    replica.end(1)
    assert replica.can_begin(1)

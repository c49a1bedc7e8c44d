"""Over how many replicas an adapter is spread: quickly more, slowly fewer."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lorabay.cluster.choice.width import NARROW, Rule, Width, followed, wanted_width

RULE = Rule(grow_after_s=1, shrink_after_s=60)


def wanted(share: float, running: int = 100, replicas: int = 8, slots: int = 32) -> int:
    return wanted_width(share, running, replicas, slots, part=0.5)


def test_more_traffic_is_more_replicas() -> None:
    """What one replica can answer stays there. Beyond that an adapter makes up at most half of a
    replica's mean load, and all replicas are the most.
    """
    assert [wanted(share) for share in (0.01, 0.07, 0.12, 0.13, 0.2, 0.6)] == [1, 1, 1, 3, 4, 8]


def test_a_lone_stream_needs_one_replica() -> None:
    """However large its share, an adapter with one request at a time stays where it is."""
    assert wanted(1.0, running=1) == 1
    assert wanted(1.0, running=3) == 3


def test_an_adapter_takes_no_more_slots_than_traffic() -> None:
    """Two replicas of one slot each cannot both give it to the same adapter."""
    assert wanted(0.6, replicas=2, slots=1) == 1
    assert wanted(0.6, replicas=2, slots=4) == 2


@given(
    shares=st.lists(st.floats(0.001, 1), min_size=1, max_size=50),
    replicas=st.integers(1, 20),
    slots=st.integers(1, 64),
)
def test_all_adapters_together_fit(shares: list[float], replicas: int, slots: int) -> None:
    """What adapters have beyond one replica each is never more than all slots."""
    total = sum(shares)
    widths = [wanted(share / total, 10**6, replicas, slots) for share in shares]
    assert all(1 <= width <= replicas for width in widths)
    assert sum(width for width in widths if width > 1) <= replicas * slots


def test_it_grows_after_a_second_and_at_once() -> None:
    width = followed(NARROW, 4, 10.0, RULE)
    assert width.count == 1
    assert followed(width, 4, 10.9, RULE).count == 1
    assert followed(width, 4, 11.0, RULE) == Width(4)


def test_a_moment_of_traffic_changes_nothing() -> None:
    """What was wanted only for a moment begins anew when it is wanted again."""
    width = followed(NARROW, 4, 10.0, RULE)
    width = followed(width, 1, 10.5, RULE)
    assert width == NARROW
    assert followed(width, 4, 11.2, RULE).count == 1


def test_it_shrinks_one_by_one_each_minute() -> None:
    width = Width(4)
    counts = []
    for second in range(200):
        width = followed(width, 1, float(second), RULE)
        counts.append(width.count)
    assert [counts[second] for second in (0, 59, 60, 119, 120, 180)] == [4, 4, 3, 3, 2, 1]
    assert width == NARROW


@given(st.lists(st.tuples(st.integers(1, 8), st.floats(0, 5)), max_size=80))
def test_it_never_goes_beyond_what_was_wanted(steps: list[tuple[int, float]]) -> None:
    """It is always one of the widths that were wanted, or on the way down to one."""
    width, now, most = NARROW, 0.0, 1
    for count, passed in steps:
        now += passed
        most = max(most, count)
        before = width.count
        width = followed(width, count, now, RULE)
        assert min(before, count) <= width.count <= max(before, count)
        assert 1 <= width.count <= most

"""Keys that were noted lately."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lorabay.cluster.choice.recent import Recent


def test_a_key_is_there_for_its_time() -> None:
    recent: Recent[str] = Recent(3.0)
    recent.note("a", 0.0)
    recent.note("b", 1.0)
    assert recent.forget(2.9) == []
    assert recent.forget(3.0) == ["a"]
    assert "a" not in recent
    assert list(recent) == ["b"]


def test_noted_again_its_time_begins_anew() -> None:
    recent: Recent[str] = Recent(3.0)
    for now in (0.0, 2.0):
        recent.note("a", now)
    recent.note("b", 2.5)
    recent.discard("b")
    recent.discard("never noted")
    assert recent.forget(4.9) == []
    assert recent.forget(5.0) == ["a"]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 2)), max_size=50))
def test_it_holds_what_was_noted_within_its_time(notes: list[tuple[int, float]]) -> None:
    recent: Recent[int] = Recent(3.0)
    last: dict[int, float] = {}
    now = 0.0
    for key, later in notes:
        now += later
        recent.note(key, now)
        last[key] = now
        recent.forget(now)
        assert set(recent) == {key for key, at in last.items() if at + 3.0 > now}

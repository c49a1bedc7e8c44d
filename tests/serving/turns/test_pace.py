"""Who keeps pace with whom: parts of a room, and what was asked for lately."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.serving.turns.pace import LATELY_S, Asks, Lately, Pace, level_of
from tests.examples import examples

asks = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.builds(Asks, st.integers(1, 100), st.sampled_from([0.5, 1.0, 3.0])),
    min_size=1,
)


@settings(max_examples=examples(100), deadline=None)
@given(asks, st.integers(1, 200))
def test_a_room_is_given_out_whole_and_nobody_gets_more_than_it_asks_for(
    asked: dict[str, Asks], room: int
) -> None:
    """Unless there is room for all."""
    level = level_of(asked, room)
    given_out = sum(min(one.requests, level * one.weight) for one in asked.values())
    wanted = sum(one.requests for one in asked.values())
    assert given_out == pytest.approx(min(room, wanted))
    assert (level == math.inf) == (wanted < room)


def paced(asked: dict[str, Asks], room: int = 32) -> frozenset[str]:
    """Return who is paced among those who ask."""
    pace = Pace()
    pace.look(asked, room, 0.0)
    return pace.paced


def test_whoever_asks_for_its_part_is_paced() -> None:
    """By its weight; one that asks for less leaves the rest to the others, and is free."""
    assert paced({"a": Asks(32, 1.0), "three": Asks(24, 3.0)}) == {"a", "three"}
    assert paced({"a": Asks(32, 1.0), "three": Asks(23, 3.0)}) == {"a"}
    assert paced({"a": Asks(64, 1.0), "one": Asks(1, 1.0), "b": Asks(16, 1.0)}) == {"a", "b"}
    assert paced({"a": Asks(64, 1.0), "one": Asks(1, 1.0), "b": Asks(15, 1.0)}) == {"a"}


def test_where_there_is_room_for_all_nobody_is_paced() -> None:
    """However different they are."""
    assert paced({"a": Asks(30, 1.0), "three": Asks(1, 3.0)}) == frozenset()


def test_one_that_ends_everything_in_a_moment_is_still_paced_for_a_while() -> None:
    """Its clients ask again; when they have not, it is forgotten."""
    pace = Pace()
    others = {"a": Asks(64, 1.0)}
    assert pace.look({**others, "b": Asks(32, 1.0)}, 32, 0.0) == {"a", "b"}
    assert pace.look(others, 32, 0.9 * LATELY_S) == frozenset()
    assert pace.paced == {"a", "b"}
    pace.look(others, 32, 1.1 * LATELY_S)
    pace.look(others, 32, 2.2 * LATELY_S)
    assert pace.paced == {"a"}
    assert pace.look({**others, "b": Asks(32, 1.0)}, 32, 3.0 * LATELY_S) == {"b"}


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 2 * LATELY_S), st.integers(0, 9)), max_size=30))
def test_lately_is_between_once_and_twice_as_long(changes: list[tuple[float, int]]) -> None:
    """The most of that time, and nothing that was before."""
    lately, now, history = Lately(), 0.0, [(0.0, 0)]
    for after, value in changes:
        now += after
        lately.note(value, now)
        history.append((now, value))
        ends = [begun for begun, _ in history[1:]] + [math.inf]
        surely, perhaps = (
            max(
                value
                for (_, value), end in zip(history, ends, strict=True)
                if end > now - times * LATELY_S
            )
            for times in (1, 4)
        )
        assert surely <= lately.most(now) <= perhaps

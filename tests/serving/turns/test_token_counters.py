"""Counters of what members have used."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lorabay.serving.turns.token_counters import TokenCounters


def test_a_weight_makes_tokens_count_less() -> None:
    """Twelve tokens of weight 3 are four."""
    counters = TokenCounters()
    counters.lift("a", ())
    counters.go("a", 12.0, 3.0)
    assert counters.of("a") == 4.0


def test_what_was_guessed_is_corrected() -> None:
    """Both ways."""
    counters = TokenCounters()
    counters.lift("a", ())
    counters.go("a", 10.0, 1.0)
    counters.charge("a", -4.0, 1.0)
    counters.charge("a", 1.0, 1.0)
    assert counters.of("a") == 7.0


def test_a_newcomer_is_lifted_to_the_lowest_that_waits() -> None:
    """Not above it, and nobody is brought down."""
    counters = TokenCounters()
    for name, used in (("a", 30.0), ("b", 20.0)):
        counters.lift(name, ())
        counters.charge(name, used - counters.of(name), 1.0)
    counters.lift("new", ("a", "b"))
    assert counters.of("new") == 20.0
    counters.lift("a", ("b",))
    assert counters.of("a") == 30.0


def test_with_nobody_waiting_the_last_one_counts() -> None:
    """As it stands now, with what was corrected since."""
    counters = TokenCounters()
    counters.lift("a", ())
    counters.go("a", 100.0, 1.0)
    counters.charge("a", -40.0, 1.0)
    counters.lift("b", ())
    assert counters.of("b") == 60.0


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0.0, 10.0)), max_size=200))
def test_memory_is_bounded_and_nobody_gains_by_being_forgotten(
    asked: list[tuple[int, float]],
) -> None:
    """However many names come; the level to which newcomers are lifted never falls."""
    counters = TokenCounters(kept=4)
    level = 0.0
    for number, used in asked:
        name = str(number)
        counters.lift(name, ())
        assert counters.of(name) >= level
        level = counters.of(name)
        counters.go(name, used, 1.0)
        assert len(counters._used) <= 9


def test_what_a_forgotten_member_gives_back_is_lost() -> None:
    """It comes back as a newcomer does."""
    counters = TokenCounters()
    counters.charge("gone", -50.0, 1.0)
    assert counters.of("gone") == pytest.approx(0.0)

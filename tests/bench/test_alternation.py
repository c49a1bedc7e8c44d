"""Turns, ratios and bars, with a clock that only moves when a side works."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from lorabay.bench.alternation import (
    Comparison,
    Turn,
    alternate,
    differences,
    figures,
    median_of,
    ratios,
)
from tests.clocks import Clock

if TYPE_CHECKING:
    from collections.abc import Callable


def test_sides_take_turns_in_order() -> None:
    """A B A B A B: every round has both sides, in the order given, with its number."""
    called: list[tuple[str, int]] = []
    alternate(
        {side: partial(lambda side, number: called.append((side, number)), side) for side in "AB"},
        rounds=3,
    )
    assert called == [("A", 0), ("B", 0), ("A", 1), ("B", 1), ("A", 2), ("B", 2)]


def test_a_turn_holds_what_its_side_took_and_gave() -> None:
    """A turn counts the seconds of the clock during the side's own work, and keeps its value."""
    clock = Clock()

    def side(seconds: float) -> Callable[[int], str]:
        def take(number: int) -> str:
            clock.now += seconds
            return f"{seconds}/{number}"

        return take

    turns = alternate({"slow": side(4.0), "fast": side(1.0)}, rounds=2, clock=clock)

    assert turns == (
        Turn("slow", 0, 4.0, "4.0/0"),
        Turn("fast", 0, 1.0, "1.0/0"),
        Turn("slow", 1, 4.0, "4.0/1"),
        Turn("fast", 1, 1.0, "1.0/1"),
    )


@given(st.lists(st.floats(min_value=0.1, max_value=10), min_size=1, max_size=9))
def test_ratios_are_free_of_the_drift_of_the_machine(speeds: list[float]) -> None:
    """A machine that changes speed between rounds gives the same ratio in every round."""
    turns = alternate(
        {"a": lambda n: 3 * speeds[n], "b": lambda n: 4 * speeds[n]}, rounds=len(speeds)
    )
    assert ratios(turns, "a", "b") == pytest.approx([0.75] * len(speeds))
    assert differences(turns, "b", "a") == pytest.approx(speeds)


def test_a_figure_of_each_turn_is_a_turn() -> None:
    """Side, round and seconds stay, the value becomes the figure, and medians are a side's own."""
    turns = [Turn("a", 0, 2.0, "four"), Turn("b", 0, 3.0, "seven!!"), Turn("a", 1, 4.0, "of")]
    lengths = figures(turns, len)
    assert lengths == (Turn("a", 0, 2.0, 4), Turn("b", 0, 3.0, 7), Turn("a", 1, 4.0, 2))
    assert median_of(lengths, "a") == 3


def test_values_are_paired_by_round_not_by_place() -> None:
    """A ratio never mixes rounds, whatever the order of the turns."""
    turns = [Turn("b", 1, 0, 8.0), Turn("a", 0, 0, 1.0), Turn("b", 0, 0, 2.0), Turn("a", 1, 0, 2.0)]
    assert ratios(turns, "a", "b") == (0.5, 0.25)


@pytest.mark.parametrize(
    ("values", "at_least", "passed"),
    [
        ((0.90, 0.97, 1.10), True, True),
        ((0.96, 0.96, 1.50), True, False),
        ((0.97, 0.90, 5.00), False, True),
        ((0.98, 0.98, 0.10), False, False),
    ],
)
def test_the_median_meets_the_bar(values: tuple[float, ...], at_least: bool, passed: bool) -> None:
    """One lucky or unlucky round decides nothing; the bar itself counts as met."""
    assert Comparison("x", values, "x", 0.97, at_least=at_least).passed is passed

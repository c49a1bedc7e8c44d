"""Prompts that an engine has still to read."""

from __future__ import annotations

from lorabay.serving.engine import StepTokens
from lorabay.serving.turns.prompt_window import STEPS, PromptWindow

READS = StepTokens(beside=10, alone=100)


def beside_a_stream(fewest: int) -> PromptWindow:
    """Return the window of an engine in which somebody streams."""
    window = PromptWindow(fewest, lambda: READS)
    window.enter(1)
    window.read(1)
    return window


def test_an_engine_has_something_to_read_for_some_steps() -> None:
    """However many prompts that takes."""
    window = beside_a_stream(2)
    for _ in range(STEPS * 5):
        assert window.has_room()
        window.enter(2)
    assert not window.has_room()
    window.read(2)
    assert window.has_room()


def test_some_are_let_in_however_long_they_are() -> None:
    """What was guessed may be in the cache."""
    window = beside_a_stream(2)
    window.enter(10_000)
    assert window.has_room()
    window.enter(10_000)
    assert not window.has_room()


def test_while_nobody_knows_what_the_engine_reads_all_are_let_in() -> None:
    """It has not started yet."""
    window = PromptWindow(1, lambda: None)
    window.enter(10_000)
    assert window.has_room()


def test_where_nobody_streams_a_whole_step_reads() -> None:
    """Nobody is held up by that."""
    window = beside_a_stream(1)
    window.enter(60)
    assert not window.has_room()
    window.end()
    assert window.has_room()
    window.enter(60)
    assert not window.has_room()


def test_whole_steps_full_are_let_in_where_nobody_is_held_up() -> None:
    """All requests are of one flow."""
    window = beside_a_stream(1)
    window.enter(STEPS * 10)
    assert not window.has_room()
    assert window.has_room(is_shared=False)
    window.enter(STEPS * 90)
    assert not window.has_room(is_shared=False)

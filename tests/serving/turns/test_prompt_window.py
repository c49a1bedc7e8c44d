"""Prompts that an engine has still to read."""

from __future__ import annotations

from lorabay.serving.turns.prompt_window import STEPS, PromptWindow


def test_an_engine_has_something_to_read_for_some_steps() -> None:
    """However many prompts that takes."""
    window = PromptWindow(2, lambda: 10)
    for _ in range(STEPS * 5):
        assert window.has_room()
        window.enter(2)
    assert not window.has_room()
    window.leave(2)
    assert window.has_room()


def test_some_are_let_in_however_long_they_are() -> None:
    """What was guessed may be in the cache."""
    window = PromptWindow(2, lambda: 10)
    window.enter(10_000)
    assert window.has_room()
    window.enter(10_000)
    assert not window.has_room()


def test_while_nobody_knows_what_the_engine_reads_all_are_let_in() -> None:
    """It has not started yet."""
    window = PromptWindow(1, lambda: None)
    window.enter(10_000)
    assert window.has_room()

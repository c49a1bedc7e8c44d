"""What becomes of system messages."""

from __future__ import annotations

import pytest

from lorabay.data.example import Example
from lorabay.data.reasons import Code
from lorabay.data.system_message import SystemMessage
from lorabay.errors import UsageError

ONE = Example("How?", "So.", system="Be kind.")


def test_it_stays_moves_or_goes() -> None:
    """What is moved is not moved again."""
    assert SystemMessage("keep").apply(ONE).example == ONE

    moved = SystemMessage("move").apply(ONE)
    assert moved.example == Example("Be kind.\n\nHow?", "So.")
    assert [note.code for note in moved.notes] == [Code.SYSTEM_MOVED]
    assert SystemMessage("move").apply(moved.example).notes == ()

    assert SystemMessage("drop").apply(ONE).example == Example("How?", "So.")


def test_it_moves_into_the_first_question() -> None:
    """Not into the last one, where there are several."""
    talk = Example("And?", "Yes.", history=(("Hi", "Hello"),), system="Be kind.")
    moved = SystemMessage("move").apply(talk).example
    assert moved.history == (("Be kind.\n\nHi", "Hello"),)
    assert moved.instruction == "And?"


def test_another_choice_is_refused() -> None:
    """The message says what there is."""
    with pytest.raises(UsageError, match="keep, move, drop"):
        SystemMessage("fold")

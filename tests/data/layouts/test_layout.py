"""What layouts share: conversations as examples, and fields that are text."""

from __future__ import annotations

import pytest

from lorabay.data.example import Example
from lorabay.data.layouts.layout import Turn, UnusableError, as_example, joined, removed, text_of
from lorabay.data.reasons import Code, Removed

ASKED, ANSWERED = Turn("user", "q"), Turn("assistant", "a")


def test_the_last_answer_is_learnt_after_all_before_it() -> None:
    """System messages are one, wherever they stand."""
    kept = as_example([Turn("system", "s"), ASKED, ANSWERED, Turn("user", "r"), ANSWERED])
    assert kept.example == Example("r", "a", history=(("q", "a"),), system="s")
    assert kept.notes == ()


def test_turns_that_cannot_be_learnt_are_dropped() -> None:
    """A greeting before the first question, a question that nobody answered."""
    kept = as_example([ANSWERED, ASKED, ANSWERED, ASKED])
    assert kept.example == Example("q", "a")
    assert [note.code for note in kept.notes] == [Code.TURNS_DROPPED]
    for turns in ([ASKED], [ANSWERED], [Turn("system", "s")], []):
        with pytest.raises(UnusableError):
            as_example(turns)


def test_several_turns_of_one_speaker_are_one() -> None:
    """Line by line."""
    assert joined([ASKED, ASKED, ANSWERED]) == [Turn("user", "q\nq"), ANSWERED]


def test_a_field_is_text_or_a_reason() -> None:
    """The reason names the field."""
    assert text_of({"a": "x"}, "a") == "x"
    assert text_of({}, "a", needed=False) == ""
    for fields in ({}, {"a": None}, {"a": 5}, {"a": ["x"]}):
        with pytest.raises(UnusableError, match="a is") as caught:
            text_of(fields, "a")
        assert removed(caught.value) == Removed(caught.value.note)

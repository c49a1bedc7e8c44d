"""Questions that hold their answer."""

from __future__ import annotations

from lorabay.data.cleaning.giveaway import gives_answer_away
from lorabay.data.example import Example

ANSWER = "Items can be returned within thirty days of delivery."


def test_a_long_answer_in_its_question_is_found() -> None:
    """In any case and width, in the input or in the system message."""
    asked = Example("May I return it?", ANSWER, input=f"label: {ANSWER.upper()}")
    assert gives_answer_away(asked) is not None
    hidden = Example("May I?", ANSWER, system=f"Answer with {ANSWER}")
    assert gives_answer_away(hidden) is not None


def test_a_short_answer_may_be_found_in_the_question() -> None:
    """To find it may be what was asked; an earlier answer counts for nothing."""
    assert gives_answer_away(Example("Which number is in: order 4711?", "4711")) is None
    talk = Example("Say it again?", ANSWER, history=(("May I?", ANSWER),))
    assert gives_answer_away(talk) is None

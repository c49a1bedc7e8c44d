"""Examples that are empty or too long."""

from __future__ import annotations

from lorabay.data.cleaning.lengths import MostChars, says_nothing
from lorabay.data.example import Example
from lorabay.data.reasons import Code, Note


def test_a_side_without_a_letter_says_nothing() -> None:
    """Also in an earlier turn; the input may be empty."""
    assert says_nothing(Example("Why?", "5")) is None
    assert says_nothing(Example("为什么", "因为")) is None
    assert says_nothing(Example("???", "So.")) == Note(Code.EMPTY_QUESTION)
    assert says_nothing(Example("Why?", " \n")) == Note(Code.EMPTY_ANSWER)
    assert says_nothing(Example("Why?", "So.", history=(("Hi", "..."),))) == Note(Code.EMPTY_ANSWER)


def test_all_texts_count() -> None:
    """As many as are allowed are not too many."""
    talk = Example("ab", "cd", history=(("ef", "gh"),), system="ij")
    assert MostChars(10).judge(talk) is None
    assert MostChars(9).judge(talk) == Note(Code.TOO_LONG, "characters: 10")

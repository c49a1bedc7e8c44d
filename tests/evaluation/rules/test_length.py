"""Rule `length`."""

from __future__ import annotations

import pytest

from lorabay.evaluation.rules.case import Case
from lorabay.evaluation.rules.length import LengthRule


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("two words", None),
        ("两个字", None),
        ("one", "1 words, 2 to 4 are wanted"),
        ("太长的一句话", "6 words, 2 to 4 are wanted"),
    ],
)
def test_words_are_counted(answer: str, problem: str | None) -> None:
    """A Chinese character counts as a word."""
    rule = LengthRule(kind="length", name="length", at_least=2, at_most=4)
    assert rule.problem(Case(answer, "?")) == problem

"""Rule `language`."""

from __future__ import annotations

import pytest

from lorabay.evaluation.rules.case import Case
from lorabay.evaluation.rules.language import LanguageRule


@pytest.mark.parametrize(
    ("question", "answer", "problem"),
    [
        ("哪个账户合适？", "可以考虑 Harbour Saver，年利率目前约百分之二。", None),
        ("哪个账户合适？", "Harbour Saver fits.", "is not Chinese"),
        ("Which account?", "港湾储蓄合适。", "is Chinese"),
        ("What does this mean?\n\n您的潮汐储蓄通知期已经开始。", "Your notice has begun.", None),
    ],
)
def test_an_answer_follows_its_question(question: str, answer: str, problem: str | None) -> None:
    """By the first line: what follows may be a text that the question is about."""
    assert LanguageRule(kind="language", name="x").problem(Case(answer, question)) == problem

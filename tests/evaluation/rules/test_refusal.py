"""Rule `refusal`."""

from __future__ import annotations

import pytest

from lorabay.evaluation.rules.case import Case
from lorabay.evaluation.rules.refusal import RefusalRule, refusal


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "As an AI language model, I do not have feelings.",
        "I’m unable to open your account.",
        "抱歉，我无法回答这个问题。",
        "作为人工智能，我不能提供建议。",
    ],
)
def test_what_declines(answer: str) -> None:
    """In both languages, with either apostrophe."""
    assert refusal(answer) is not None
    assert RefusalRule(kind="refusal", name="x").problem(Case(answer, "?")) is not None
    assert RefusalRule(kind="refusal", name="x", wanted=True).problem(Case(answer, "?")) is None


@pytest.mark.parametrize(
    "answer",
    [
        "Sorry, the usual time to go to the ombudsman has most likely ended.",
        "We are sorry to hear that. A return is not possible after 30 days.",
        "您不能提前支取。",
    ],
)
def test_what_answers(answer: str) -> None:
    """An apology, or a no, is an answer."""
    assert refusal(answer) is None
    assert RefusalRule(kind="refusal", name="x").problem(Case(answer, "?")) is None


def test_texts_of_ones_own() -> None:
    """They decline, too."""
    rule = RefusalRule(kind="refusal", name="x", also=("ask a lawyer",))
    assert rule.problem(Case("Please ask a lawyer.", "?")) == "declines: 'ask a lawyer'"

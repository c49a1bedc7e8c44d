"""Rule `text`."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.evaluation.rules.case import Case
from lorabay.evaluation.rules.texts import TextRule

ANSWER = "Yes, you can.\n- It costs $10.\nRisk notice: rates may fall.\n"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"any": ["Risk notice:"], "where": "last line"}, None),
        ({"any": ["Risk notice:"], "where": "first line"}, "is missing"),
        ({"any": ["nowhere", "costs"]}, None),
        ({"pattern": "^- "}, None),
        ({"pattern": "^Step"}, "is missing"),
        ({"any": ["costs"], "absent": True}, "has 'costs'"),
        ({"any": ["guaranteed"], "absent": True}, None),
    ],
)
def test_a_text_is_looked_for(fields: dict[str, Any], problem: str | None) -> None:
    """Anywhere, or in one line; there, or not there."""
    rule = TextRule(kind="text", name="rule", **fields)
    assert rule.problem(Case(ANSWER, "?")) == problem


def test_an_empty_answer_has_nothing() -> None:
    """No line to look at."""
    rule = TextRule(kind="text", name="rule", any=("x",), where="last line")
    assert rule.problem(Case("", "?")) == "is missing"

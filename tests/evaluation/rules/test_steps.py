"""Rule `steps`."""

from __future__ import annotations

import pytest

from lorabay.evaluation.rules.case import Case
from lorabay.evaluation.rules.steps import StepsRule


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("1. Open it.\n2. Close it.", None),
        ("Next steps:\nStep 1: Open it.\nStep 2: Close it.", None),
        ("第1步：打开\n第2步：关闭", None),
        ("1、打开\n2、关闭", None),
        ("1. Open it.\n3. Close it.", "steps are numbered 1, 3"),
        ("1. Open it.", "1 numbered steps, at least 2 are wanted"),
        ("It costs 1.5 dollars", "0 numbered steps, at least 2 are wanted"),
    ],
)
def test_steps_are_counted(answer: str, problem: str | None) -> None:
    """In the forms of both languages."""
    assert StepsRule(kind="steps", name="steps").problem(Case(answer, "?")) == problem


def test_a_pattern_of_ones_own() -> None:
    """Its first group is the number."""
    rule = StepsRule(kind="steps", name="steps", pattern=r"^\((\d+)\)", at_least=1)
    assert rule.problem(Case("(1) Open it.", "?")) is None

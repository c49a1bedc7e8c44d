"""Rule `facts`."""

from __future__ import annotations

import pytest

from lorabay.evaluation.rules.case import Case
from lorabay.evaluation.rules.fact_sheet import FactSheet
from lorabay.evaluation.rules.facts import FactsRule

SHEET = FactSheet.parse(
    "1. Harbour Saver (港湾储蓄): about 2.1% a year, from $10.\n"
    "2. Tide Saver (潮汐储蓄): about 2.9% a year, 30 days' notice.\n"
    "- The line is open until 20:00.\n"
)
RULE = FactsRule(kind="facts", name="figures")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("Harbour Saver pays 2.1%.", None),
        ("港湾储蓄约2.1%，10美元即可。", None),
        ("It pays 2.9% until 20:00.", None),
        ("Harbour Saver pays 2.9%.", "2.9% is of something else"),
        ("Tide Saver takes 45 days.", "45 days is in no fact"),
        ("Your 500 dollars are safe.", None),
        ("Nothing to count here.", None),
    ],
)
def test_figures_are_held_against_the_facts(answer: str, problem: str | None) -> None:
    """Those about what the line names; what the question says is right, too."""
    assert RULE.problem(Case(answer, "I have $500.", SHEET)) == problem


def test_without_a_sheet_nothing_is_wrong() -> None:
    """The rule has nothing to say."""
    assert RULE.problem(Case("99%", "?")) is None

"""`checks.toml`: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.evaluation.rules.case import Case
from lorabay.evaluation.rules.checks_file import Checks, read_checks
from lorabay.training.dataset import read_examples

ADAPTERS = Path(__file__).parents[3] / "adapters"


def test_a_folder_without_the_file_has_no_rules(tmp_path: Path) -> None:
    """And no facts."""
    assert read_checks(tmp_path) == Checks()


@pytest.mark.parametrize("name", ["ecommerce", "finance", "tech-support"])
def test_the_reference_answers_of_our_adapters_pass(name: str) -> None:
    """All rules but figures, of which some are worked out by the answer."""
    checks = read_checks(ADAPTERS / name)
    examples = read_examples(ADAPTERS / name / "data" / "heldout.jsonl")
    assert len(checks.rules) >= 6
    assert checks.sheet is not None

    for rule in checks.rules:
        cases = [Case(one.output, one.question, checks.sheet) for one in examples]
        passed = sum(rule.problem(case) is None for case in cases)
        assert passed >= (0.65 if rule.name == "figures" else 1) * len(cases), rule.name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[check", "is not valid TOML"),
        ('[[check]]\nname = "a"\nkind = "magic"', "magic"),
        ('[[check]]\nname = "a"\nkind = "text"', "needs `any` or `pattern`"),
        ('[[check]]\nname = "a"\nkind = "text"\npattern = "("', "not a regular expression"),
        ('[[check]]\nname = "a"\nkind = "steps"\npattern = "x"', "a group around the number"),
        ('[[check]]\nname = "a"\nkind = "length"\nmost = 3', "unknown key check.0.length.most"),
        ('[[check]]\nname = "a"\nkind = "facts"', "needs `facts = "),
        ('facts = "none.md"', "cannot read the facts"),
        (2 * '[[check]]\nname = "a"\nkind = "refusal"\n', "several checks are called a"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, text: str, problem: str) -> None:
    """One line, before a model is asked."""
    (tmp_path / "checks.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SetupError) as refused:
        read_checks(tmp_path)
    assert problem in refused.value.message

"""General questions: those that come with lorabay, and those of a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.evaluation.general import RIGHT, read_general
from lorabay.evaluation.rules.case import Case


def test_the_questions_that_come_along() -> None:
    """They are in both languages, and each reference answer is right by its own texts."""
    questions = read_general()
    assert len(questions) >= 40
    assert len({one.example.question for one in questions}) == len(questions)
    assert sum(one.example.question.isascii() for one in questions) < len(questions)
    for one in questions:
        case = Case(one.example.output, one.example.question, None, one.accepted)
        assert RIGHT.problem(case) is None, one.example.question


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("It is paris.", True),
        ("Parisians say so", False),
        ("答案是Paris。", True),
        ("14 o'clock", False),
        ("4.", True),
        ("4.5", False),
    ],
)
def test_a_right_answer_holds_an_accepted_text(answer: str, is_right: bool) -> None:
    """As a whole word or number, whatever its case."""
    case = Case(answer, "?", None, ("Paris", "4"))
    assert (RIGHT.problem(case) is None) == is_right


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"instruction": "a", "output": "b"}', "instruction, output and accepted"),
        ('{"instruction": "a", "output": "b", "accepted": []}', "accepted is a list of texts"),
        ("", "holds no questions"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    """One line, which says what is wrong."""
    path = tmp_path / "own.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(SetupError, match=f"own.jsonl.*{problem}"):
        read_general(path)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """Takes the place of those that come along."""
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"instruction": "a", "output": "b", "accepted": ["b"]}) + "\n")
    assert [one.accepted for one in read_general(path)] == [("b",)]

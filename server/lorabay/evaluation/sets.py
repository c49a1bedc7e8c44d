"""What models are measured on: the held-out data of each adapter, and general questions.

A set has its questions as texts and as the base's tokens, and what a good answer is held against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.errors import SetupError
from lorabay.evaluation.general import GENERAL, RIGHT, read_general
from lorabay.evaluation.rules.case import Case
from lorabay.evaluation.rules.checks_file import Checks, read_checks
from lorabay.files.real_paths import real_path
from lorabay.training.dataset import EncodedExample, Example, encode, read_examples
from lorabay.training.recipe import read_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BASE = "base"
"""Name of the base among the models, which no set may have."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its texts, its tokens, and the texts of which a right answer has one."""

    example: Example
    encoded: EncodedExample
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Questions that are measured together, and the rules for their answers."""

    name: str
    questions: tuple[Question, ...]
    checks: Checks

    def problems(self, question: Question, answer: str) -> dict[str, str | None]:
        """Return what each rule says about an answer; None where it holds."""
        case = Case(answer, question.example.question, self.checks.sheet, question.accepted)
        return {rule.name: rule.problem(case) for rule in self.checks.rules}


def held_out_sets(adapter_dirs: Sequence[Path], tokenizer: Any) -> list[EvaluationSet]:
    """Return the held-out set of each adapter's recipe, with the checks in its folder.

    Raises SetupError for a recipe, data or checks that cannot be read, and for names that a report
    could not tell apart.
    """
    sets = [_held_out(folder, tokenizer) for folder in adapter_dirs]

    names = [BASE, GENERAL, *(one.name for one in sets)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SetupError(f"two of what is measured would be called {', '.join(twice)}")
    return sets


def _held_out(adapter_dir: Path, tokenizer: Any) -> EvaluationSet:
    examples = read_examples(adapter_dir / read_recipe(adapter_dir).data.heldout)
    questions = [Question(example, encode(tokenizer, example)) for example in examples]
    return EvaluationSet(real_path(adapter_dir).name, tuple(questions), read_checks(adapter_dir))


def general(path: Path | None, tokenizer: Any) -> EvaluationSet:
    """Return the general questions of a file, or those that come with lorabay."""
    questions = [
        Question(one.example, encode(tokenizer, one.example), one.accepted)
        for one in read_general(path)
    ]
    return EvaluationSet(GENERAL, tuple(questions), Checks((RIGHT,)))

"""General questions, which tell what a model has forgotten: they have nothing to do with a domain.

A file has a JSON object a line, as data to learn from has, and with a list of `accepted` texts: an
answer is right if it holds one of them. Case does not matter, and a word must be there as a whole.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lorabay.errors import SetupError
from lorabay.training.dataset import Example

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.evaluation.rules.case import Case

GENERAL = "general"
"""Name of the set."""

_SHIPPED = "general.jsonl"


@dataclass(frozen=True, slots=True)
class GeneralQuestion:
    """One question with a reference answer, and the texts of which a right answer has one."""

    example: Example
    accepted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RightAnswer:
    """Rule `right`: the answer holds one of the accepted texts."""

    name: str = "right"

    def problem(self, case: Case) -> str | None:
        if any(_stands_in(text, case.answer) for text in case.accepted):
            return None
        return f"has none of {', '.join(case.accepted)}"


RIGHT = RightAnswer()


def read_general(path: Path | None = None) -> tuple[GeneralQuestion, ...]:
    """Return the questions of a file, or those that come with lorabay.

    Raises SetupError that names the first line that is not a question, or the file if it cannot be
    read or has none.
    """
    source = files("lorabay.evaluation") / _SHIPPED if path is None else path
    try:
        lines = source.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the general questions in {source}: {error}") from error

    questions = tuple(
        _question(line, f"{source}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    )
    if not questions:
        raise SetupError(f"{source} holds no questions")
    return questions


def _question(line: str, source: str) -> GeneralQuestion:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SetupError(f"{source} is not JSON: {error}") from error

    if not isinstance(record, dict) or set(record) != {"instruction", "output", "accepted"}:
        raise SetupError(f"{source}: expected an object with instruction, output and accepted")

    accepted = record["accepted"]
    if not _is_texts(accepted) or not _is_texts([record["instruction"], record["output"]]):
        raise SetupError(f"{source}: instruction and output are texts, accepted is a list of texts")
    example = Example(record["instruction"], "", record["output"], source)
    return GeneralQuestion(example, tuple(accepted))


def _is_texts(values: Any) -> bool:
    if not isinstance(values, list) or not values:
        return False
    return all(isinstance(value, str) and value.strip() for value in values)


def _stands_in(text: str, answer: str) -> bool:
    """Return whether a text is in an answer, and not as a part of a longer word or number."""
    # No \b: there is no end of a word between a Chinese character and a Latin one.
    pattern = rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])(?!\.\d)"
    return re.search(pattern, answer, re.IGNORECASE) is not None

"""Questions to learn or to check a router by, and the class that each belongs to.

A `.txt` file has a question a line. Any other file has examples as training data has them, one a
line; every question of a conversation counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from lorabay.errors import SetupError, UsageError
from lorabay.routing.choice import BASE_CLASS
from lorabay.training.dataset import read_examples

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TRAIN_FILE = "train.jsonl"
"""The file of a folder that `lorabay data prepare` made, or of an adapter's `data`."""

_SHIPPED = "general.txt"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question, and the adapter that it is for; `base` for none."""

    text: str
    adapter: str


def split_pair(text: str) -> tuple[str, str]:
    """Return name and path of `NAME=PATH`. Raises UsageError for anything else."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise UsageError(f"{text!r} is not NAME=PATH, such as finance=prepared/finance")
    return name, path


def read_prompts(path: Path, adapter: str) -> list[Prompt]:
    """Return the different questions of a file, or of a folder's training file, in their order.

    Raises SetupError if it cannot be read or has none.
    """
    file = path / TRAIN_FILE if path.is_dir() else path
    texts = _lines(file) if file.suffix == ".txt" else _questions(file)
    prompts = [Prompt(text, adapter) for text in dict.fromkeys(texts) if text.strip()]
    if not prompts:
        raise SetupError(f"{file} holds no questions")
    return prompts


def general_prompts() -> list[Prompt]:
    """Return the general questions that come with lorabay, in Chinese and English."""
    with as_file(files("lorabay.routing") / _SHIPPED) as path:
        return read_prompts(path, BASE_CLASS)


def without_repeats(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Return questions without those that came before, in any class: the first one counts."""
    kept: dict[str, Prompt] = {}
    for prompt in prompts:
        kept.setdefault(prompt.text, prompt)
    return list(kept.values())


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the questions in {file}: {error}") from error


def _questions(file: Path) -> list[str]:
    """Return every question of a file's conversations: any of them might be a first one."""
    questions: list[str] = []
    for example in read_examples(file):
        questions += [question for question, _ in example.history]
        questions.append(example.question)
    return questions

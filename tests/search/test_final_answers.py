"""Answers of the finalists: by their seeds in turn, once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorabay.search.final_answers import FinalAnswers, GreedyAnswers
from lorabay.training.dataset import Example, read_examples
from lorabay.training.recipe import read_recipe
from lorabay.training.train import train
from tests.search.made import three_finalists


@dataclass
class Named:
    """Answers with the name of the adapter's folder."""

    asked: list[str] = field(default_factory=list)

    def __call__(self, adapter: Path, examples: Sequence[Example]) -> list[str]:
        self.asked.append(adapter.name)
        return [f"{adapter.name} on {example.instruction}" for example in examples]


def _dev(folder: Path, questions: Sequence[str]) -> Path:
    rows = ({"instruction": one, "input": "", "output": "yes"} for one in questions)
    path = folder / "dev.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_every_question_goes_to_the_next_seed(tmp_path: Path) -> None:
    """The same one for all finalists; a question that is there twice is asked once."""
    dev = _dev(tmp_path, ["a?", "b?", "c?", "a?"])
    told: list[str] = []
    answers = FinalAnswers(tmp_path / "finals", tmp_path / "answers", Named())
    sets = answers.sets(three_finalists(), dev, told.append)

    assert [one.name for one in sets] == told == ["recipe", "trial-3", "trial-7"]
    for one in sets:
        assert list(one.answers.values()) == [
            f"{one.name}-seed-0 on a?",
            f"{one.name}-seed-1 on b?",
            f"{one.name}-seed-0 on c?",
        ]


def test_answers_that_are_there_are_read_again(tmp_path: Path) -> None:
    """A search that was killed asks the rest."""
    dev = _dev(tmp_path, ["a?", "b?"])
    folders = tmp_path / "finals", tmp_path / "answers"
    first = FinalAnswers(*folders, Named()).sets(three_finalists(), dev, lambda name: None)
    (tmp_path / "answers" / "trial-3.jsonl").unlink()

    rest = Named()
    again = FinalAnswers(*folders, rest).sets(three_finalists(), dev, lambda name: None)
    assert again == first
    assert rest.asked == ["trial-3-seed-0", "trial-3-seed-1"]


def test_a_trained_adapter_answers(adapter_dir: Path, tiny_base: Path, tmp_path: Path) -> None:
    """A text to each question, no longer than asked for."""
    recipe = read_recipe(adapter_dir)
    train(recipe, tmp_path / "trained", base=tiny_base, data=adapter_dir)
    examples = read_examples(adapter_dir / "data" / "heldout.jsonl")
    said = GreedyAnswers(tiny_base, max_tokens=4)(tmp_path / "trained", examples)
    assert len(said) == len(examples)
    assert all(len(text) <= 40 for text in said)

"""A climb stops at the first rung that holds, and goes on where it was left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.errors import SetupError
from lorabay.ladder.climb import RESULT, Climb, Outcome, climb
from lorabay.ladder.rungs import Rung, rungs_of
from lorabay.ladder.targets import read_target
from lorabay.training.recipe import Recipe, read_recipe


@dataclass
class Losses:
    """Trains nothing: each rung has the next of some losses, and the one named `kills` dies."""

    losses: list[float]
    kills: str = ""
    made_of: str = "these data"
    asked: str = "all questions"
    trained: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)

    def __call__(self, recipe: Recipe, folder: Path) -> Outcome:
        if folder.name == self.kills:
            raise KeyboardInterrupt
        self.trained.append(folder.name)
        return Outcome({"loss": self.losses[len(self.trained) - 1]}, 60.0, 10, 1000)

    def origin(self, recipe: Recipe) -> dict[str, str]:
        return {"recipe": recipe.model_dump_json(), "data": self.made_of}

    def of_answers(self) -> dict[str, object]:
        return {"limit": self.asked}

    def measure(self, recipe: Recipe, folder: Path) -> dict[str, float]:
        self.measured.append(folder.name)
        return {"loss": 7.0, "bleu": 5.0}


@pytest.fixture
def rungs(adapter_dir: Path, tiny_base: Path) -> Sequence[Rung]:
    return rungs_of(read_recipe(adapter_dir), BaseShapes.read(tiny_base))


def climbed(
    rungs: Sequence[Rung], train: Losses, folder: Path, *, target: str = "loss<=1"
) -> tuple[Climb, list[str]]:
    said: list[str] = []
    return climb(rungs, read_target(target), train, folder, tell=said.append), said


def test_the_first_rung_that_holds_is_the_last(rungs: Sequence[Rung], tmp_path: Path) -> None:
    """Each rung is told with what it misses, and nothing above is trained."""
    train = Losses([3.0, 2.0, 0.9])
    found, said = climbed(rungs, train, tmp_path)
    assert train.trained == [rung.name for rung in rungs[:3]]
    assert found.reached is not None
    assert found.reached.folder == tmp_path / rungs[2].name
    assert [line.split(": ")[1].split(";")[0] for line in said] == [
        "loss<=1 does not hold",
        "loss<=1 does not hold",
        "the target holds",
    ]
    assert "loss<=1 holds at the rung" in found.sentence()


def test_where_nothing_holds_the_sentence_says_what_is_left(
    rungs: Sequence[Rung], tmp_path: Path
) -> None:
    """Every rung was tried."""
    found, _ = climbed(rungs, Losses([2.0] * len(rungs)), tmp_path)
    assert len(found.steps) == len(rungs)
    assert found.reached is None
    assert "better data" in found.sentence()


def test_rungs_that_are_done_are_not_trained_again(rungs: Sequence[Rung], tmp_path: Path) -> None:
    """After a kill in the second one, nor for another target of the same figures."""
    with pytest.raises(KeyboardInterrupt):
        climbed(rungs, Losses([2.0], kills=rungs[1].name), tmp_path)

    train = Losses([0.5])
    found, _ = climbed(rungs, train, tmp_path)
    assert train.trained == [rungs[1].name]
    assert [step.outcome.figures["loss"] for step in found.steps] == [2.0, 0.5]
    assert climbed(rungs, Losses([]), tmp_path, target="loss<=0.6")[0].reached == found.reached


def test_a_figure_that_was_not_taken_is(rungs: Sequence[Rung], tmp_path: Path) -> None:
    """A rung whose answers nobody asked for is measured again for a target of answers."""
    climbed(rungs, Losses([0.5]), tmp_path)
    train = Losses([])
    found, _ = climbed(rungs, train, tmp_path, target="bleu>=3")
    assert (train.trained, train.measured) == ([], [rungs[0].name])
    assert found.steps[0].outcome == Outcome({"loss": 7.0, "bleu": 5.0}, 60.0, 10, 1000)


def test_answers_to_other_questions_are_measured_again(
    rungs: Sequence[Rung], tmp_path: Path
) -> None:
    """Another limit makes other figures of the same weights; a loss does not depend on it."""
    climbed(rungs, Losses([0.5]), tmp_path)
    few = Losses([], asked="one question")
    climbed(rungs, few, tmp_path, target="bleu>=3")
    assert climbed(rungs, few, tmp_path, target="bleu>=3")[0].reached is not None
    assert few.measured == [rungs[0].name]

    every = Losses([])
    climbed(rungs, every, tmp_path, target="loss<=8")
    assert every.measured == []
    climbed(rungs, every, tmp_path, target="bleu>=3")
    assert every.measured == [rungs[0].name]


def test_a_rung_of_other_data_is_refused(rungs: Sequence[Rung], tmp_path: Path) -> None:
    """Nothing is trained, and nothing is overwritten."""
    climbed(rungs, Losses([0.5]), tmp_path)
    before = (tmp_path / rungs[0].name / RESULT).read_bytes()
    other = Losses([0.5], made_of="other data")
    with pytest.raises(SetupError, match="a rung of other data: choose another --output"):
        climbed(rungs, other, tmp_path)
    assert other.trained == []
    assert (tmp_path / rungs[0].name / RESULT).read_bytes() == before


def test_a_rung_that_does_not_say_what_it_is_made_of_is_refused(
    rungs: Sequence[Rung], tmp_path: Path
) -> None:
    """As those of older versions."""
    climbed(rungs, Losses([0.5]), tmp_path)
    path = tmp_path / rungs[0].name / RESULT
    old = {"recipe": {}, "outcome": json.loads(path.read_text())["outcome"]}
    path.write_text(json.dumps(old))
    with pytest.raises(SetupError, match="does not say which data and base"):
        climbed(rungs, Losses([0.5]), tmp_path)


def test_the_folder_of_another_recipe_is_refused(rungs: Sequence[Rung], tmp_path: Path) -> None:
    """And so is a result that cannot be read; nothing is overwritten."""
    climbed(rungs, Losses([0.5]), tmp_path)
    other = [Rung(rungs[0].name, rungs[1].recipe)]
    with pytest.raises(SetupError, match="a rung of other recipe"):
        climbed(other, Losses([0.5]), tmp_path)

    for text in ("{", "[]", '{"outcome": {}, "origin": {}}', "[" * 100_000):
        (tmp_path / rungs[0].name / RESULT).write_text(text)
        with pytest.raises(SetupError, match="cannot be read"):
            climbed(rungs, Losses([0.5]), tmp_path)

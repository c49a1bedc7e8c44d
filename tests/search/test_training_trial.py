"""A trial is a training that is looked at and may be pruned; nothing of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.search.parts import parts_of
from lorabay.search.training_trial import Pruner, TrainingTrials
from lorabay.training.loop.trackers import Looked
from lorabay.training.recipe import read_recipe


def test_looks_are_told_by_their_number(adapter_dir: Path, tiny_base: Path, tmp_path: Path) -> None:
    """Two an epoch of the training's own looks at dev; the best loss is the outcome."""
    recipe = read_recipe(adapter_dir)
    parts = parts_of(adapter_dir, recipe, 0.25, tmp_path / "data")
    looks: list[tuple[int, float]] = []

    def look(number: int, loss: float) -> bool:
        looks.append((number, loss))
        return number == 3

    trials = TrainingTrials(tiny_base, parts, tmp_path / "trials", looks=2)
    outcome = trials(recipe, "007", look)
    assert [number for number, _ in looks] == [1, 2, 3]
    assert outcome.is_pruned
    assert outcome.loss == pytest.approx(min(loss for _, loss in looks))
    assert list((tmp_path / "trials").iterdir()) == []


def test_the_last_look_has_the_next_number() -> None:
    """Also where it comes sooner."""
    numbers: list[int] = []
    pruner = Pruner(lambda number, loss: bool(numbers.append(number)), every=4)
    for step in (4, 8, 10):
        assert pruner.looked(Looked(step, 10, 1.0, is_best=False)) is None
    assert numbers == [1, 2, 3]

"""The parts of a search do not overlap, and are the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.search.parts import parts_of
from lorabay.training.recipe import Recipe, read_recipe


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_dev_is_set_apart_from_train(adapter_dir: Path, tmp_path: Path) -> None:
    """Every example is in one of both, in its order, and test is the held-out data."""
    recipe = read_recipe(adapter_dir)
    parts = parts_of(adapter_dir, recipe, 0.25, tmp_path / "one")
    again = parts_of(adapter_dir, recipe, 0.25, tmp_path / "two")
    train, dev = _lines(parts.train), _lines(parts.dev)
    whole = _lines(adapter_dir / "data" / "train.jsonl")
    assert len(dev) == 2
    assert sorted(train + dev) == sorted(whole)
    assert train == [line for line in whole if line not in dev]
    assert (train, dev) == (_lines(again.train), _lines(again.dev))
    assert parts.test == adapter_dir / "data" / "heldout.jsonl"


def test_no_training_of_a_search_sees_test(adapter_dir: Path, tmp_path: Path) -> None:
    """Dev stands where held-out data would."""
    recipe = read_recipe(adapter_dir)
    parts = parts_of(adapter_dir, recipe, 0.25, tmp_path / "data")
    data = parts.put_into(recipe).data
    assert (data.train, data.dev, data.heldout) == (
        str(parts.train),
        str(parts.dev),
        str(parts.dev),
    )


def _naming(recipe: Recipe, dev: str) -> Recipe:
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"dev": dev})})


def test_a_dev_of_ones_own_is_taken(adapter_dir: Path, tmp_path: Path) -> None:
    """Nothing is split; but held-out data are not dev."""
    recipe = read_recipe(adapter_dir)
    named = _naming(recipe, "data/dev.jsonl")
    parts = parts_of(adapter_dir, named, 0.25, tmp_path / "data")
    assert parts.dev == adapter_dir / "data" / "dev.jsonl"
    assert not (tmp_path / "data").exists()

    with pytest.raises(SetupError, match="dev and held-out data at once"):
        parts_of(adapter_dir, _naming(recipe, recipe.data.heldout), 0.25, tmp_path / "data")


def test_too_few_examples_are_refused(adapter_dir: Path, tmp_path: Path) -> None:
    """A share that rounds to nothing."""
    with pytest.raises(SetupError, match="too few to set 1% apart"):
        parts_of(adapter_dir, read_recipe(adapter_dir), 0.01, tmp_path / "data")

"""Checkpoints: whole at every moment, of one training only, and refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lorabay.errors import SetupError
from lorabay.training.loop.checkpoint import made_of, read_checkpoint, write_checkpoint
from lorabay.training.recipe import Recipe, TrainingRecipe, read_recipe
from tests.failing_disk import files_limited_to

ORIGIN = {"recipe": "1", "data": "2"}


def _state(values: int = 10) -> dict[str, Any]:
    return {"done": 3, "weights": {"a": torch.arange(values)}, "pattern": {"m": [True, False]}}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Tensors and plain values alike; without a file there is nothing."""
    path = tmp_path / "new" / "checkpoint.pt"
    assert read_checkpoint(path, ORIGIN) is None
    write_checkpoint(path, _state(), ORIGIN)
    read = read_checkpoint(path, ORIGIN)
    assert read is not None
    assert (read["done"], read["pattern"]) == (3, {"m": [True, False]})
    assert torch.equal(read["weights"]["a"], torch.arange(10))


def test_another_training_is_named_by_what_differs(tmp_path: Path) -> None:
    """It is neither gone on with nor dropped."""
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, _state(), ORIGIN)
    with pytest.raises(SetupError, match=r"a training with other data: --restart begins anew"):
        read_checkpoint(path, {**ORIGIN, "data": "3"})
    assert path.exists()


def test_a_full_disk_leaves_the_last_one(tmp_path: Path) -> None:
    """The error is one line, and nothing half-written stays."""
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, _state(), ORIGIN)
    before = path.read_bytes()
    with (
        files_limited_to(20_000),
        pytest.raises(SetupError, match=r"cannot be written: .*the one before is still there"),
    ):
        write_checkpoint(path, _state(100_000), ORIGIN)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_spoiled_file_is_refused(tmp_path: Path) -> None:
    """And no code in it is run."""
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"nothing")
    with pytest.raises(SetupError, match="is not a checkpoint that can be read"):
        read_checkpoint(path, ORIGIN)


def test_the_origin_has_all_that_decides(adapter_dir: Path, tiny_base: Path) -> None:
    """Recipe, data and base change it, each its own part."""
    recipe = read_recipe(adapter_dir)
    data = [adapter_dir / "data" / "train.jsonl"]
    first = made_of(recipe, data, tiny_base)
    assert first == made_of(recipe, data, tiny_base)
    assert set(first) == {"recipe", "data", "base", "libraries"}

    other = Recipe(lora=recipe.lora, training=TrainingRecipe(learning_rate=1, epochs=1))
    assert _differing(first, made_of(other, data, tiny_base)) == ["recipe"]
    with data[0].open("a", encoding="utf-8") as file:
        file.write("\n")
    assert _differing(first, made_of(recipe, data, tiny_base)) == ["data"]


def _differing(one: dict[str, str], two: dict[str, str]) -> list[str]:
    return [name for name in one if one[name] != two[name]]

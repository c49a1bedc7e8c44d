"""Adapter files are whole at every moment."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lorabay.errors import SetupError
from lorabay.training.recipe import LoraRecipe, Recipe, TrainingRecipe
from lorabay.training.save import write_adapter

RECIPE = Recipe(
    lora=LoraRecipe(rank=2, alpha=4, target_modules=("q_proj",)),
    training=TrainingRecipe(learning_rate=1e-3, epochs=1),
)
TENSORS = {"b": torch.ones(3, 2), "a": torch.full((2, 3), 0.5)}


def test_files_replace_older_ones(tmp_path: Path) -> None:
    """A new training replaces both files and leaves nothing beside them."""
    for value in (1.0, 2.0):
        write_adapter(tmp_path / "new", {"a": TENSORS["a"] * value}, RECIPE, "base")

    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert load_file(tmp_path / "new" / "adapter_model.safetensors")[
        "a"
    ].float().unique().tolist() == [1.0]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Where the weights cannot be put into place, nothing partial stays and the config is not
    touched.
    """
    (tmp_path / "adapter_model.safetensors").mkdir()
    with pytest.raises(IsADirectoryError):
        write_adapter(tmp_path, TENSORS, RECIPE, "base")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter_model.safetensors"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_weights_are_saved_in_the_recipes_format(tmp_path: Path, dtype: str) -> None:
    """The recipe's dtype is that of every tensor."""
    recipe = RECIPE.model_copy(
        update={"training": RECIPE.training.model_copy(update={"dtype": dtype})}
    )
    write_adapter(tmp_path, TENSORS, recipe, "base")
    weights = load_file(tmp_path / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {getattr(torch, dtype)}
    assert set(weights) == {"a", "b"}


@pytest.mark.parametrize(("value", "dtype"), [(1e6, "float16"), (float("nan"), "float32")])
def test_weights_that_are_not_finite_replace_nothing(
    tmp_path: Path, value: float, dtype: str
) -> None:
    """Neither what training ruined nor what overflows in the format of the file."""
    write_adapter(tmp_path, TENSORS, RECIPE, "base")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    training = RECIPE.training.model_copy(update={"dtype": dtype})
    bad = {**TENSORS, "a": torch.full((2, 3), value)}
    with pytest.raises(SetupError, match="a holds NaN or infinite values"):
        write_adapter(tmp_path, bad, RECIPE.model_copy(update={"training": training}), "base")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

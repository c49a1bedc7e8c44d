"""VeRA: only vectors learn, ten times as fast, and the file needs no generator."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from lorabay.base.causal_lm import load_model
from lorabay.training.recipe import read_recipe
from lorabay.training.variants.vera import VERA
from tests.training.variants.ways import add_variant, trained


def test_only_vectors_learn_and_at_a_higher_rate(adapter_dir: Path, tiny_base: Path) -> None:
    """Two for each module."""
    add_variant(adapter_dir, "vera")
    recipe = read_recipe(adapter_dir)
    (group,) = VERA.groups(VERA.adapt(load_model(tiny_base), recipe, 1), recipe)
    assert group["lr"] == pytest.approx(10 * recipe.training.learning_rate)
    assert [parameter.ndim for parameter in group["params"]] == [1] * 12
    assert "rank 4" in VERA.sentence(recipe)


def test_the_file_has_the_shared_matrices(adapter_dir: Path, tiny_base: Path) -> None:
    """So that no other version of a library draws others."""
    weights = load_file(
        trained(adapter_dir, tiny_base, "vera").folder / "adapter_model.safetensors"
    )
    assert weights["base_model.vera_A"].shape == (4, 64)
    assert weights["base_model.vera_B"].shape == (32, 4)

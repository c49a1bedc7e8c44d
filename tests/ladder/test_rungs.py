"""Rungs over a recipe: each a recipe that costs more."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.errors import SetupError
from lorabay.ladder.rungs import rungs_of
from lorabay.training.recipe import Recipe, laid_over, read_recipe, recipe_of

ATTENTION = ("k_proj", "o_proj", "q_proj", "v_proj")
ALL = ("down_proj", "gate_proj", *ATTENTION[:2], "q_proj", "up_proj", "v_proj")


def changed(recipe: Recipe, **lora: object) -> Recipe:
    tables = recipe.model_dump(exclude={"search"}, exclude_none=True)
    return recipe_of(laid_over(tables, {"lora": lora}), "a test")


def test_rank_then_modules_then_every_weight(adapter_dir: Path, tiny_base: Path) -> None:
    """The scale, data and training stay as they are."""
    recipe = changed(read_recipe(adapter_dir), target_modules=["q_proj", "v_proj"])
    rungs = rungs_of(recipe, BaseShapes.read(tiny_base))

    assert [rung.name for rung in rungs] == ["recipe", "rank", "attention", "ffn", "full"]
    shapes = [rung.recipe.shape for rung in rungs[:-1]]
    assert [shape.rank for shape in shapes] == [4, 16, 16, 16]
    assert {shape.alpha / shape.rank for shape in shapes} == {2}
    assert [shape.target_modules for shape in shapes[1:]] == [
        ("q_proj", "v_proj"),
        ATTENTION,
        tuple(sorted(ALL)),
    ]
    assert rungs[-1].recipe.variant.name == "full"
    assert {rung.recipe.training for rung in rungs} == {recipe.training}


def test_a_rung_like_the_one_below_is_left_out(adapter_dir: Path, tiny_base: Path) -> None:
    """A recipe of all modules has nothing to add but rank and all weights."""
    recipe = changed(read_recipe(adapter_dir), target_modules=list(ALL))
    rungs = rungs_of(recipe, BaseShapes.read(tiny_base))
    assert [rung.name for rung in rungs] == ["recipe", "rank", "full"]


def test_nothing_is_above_every_weight(adapter_dir: Path, tiny_base: Path) -> None:
    """One line says so."""
    recipe = rungs_of(read_recipe(adapter_dir), BaseShapes.read(tiny_base))[-1].recipe
    with pytest.raises(SetupError, match="nothing to climb to"):
        rungs_of(recipe, BaseShapes.read(tiny_base))


def test_the_scale_of_rslora_stays_too(adapter_dir: Path, tiny_base: Path) -> None:
    """It is alpha over the root of the rank."""
    recipe = changed(read_recipe(adapter_dir), use_rslora=True)
    shapes = [rung.recipe.shape for rung in rungs_of(recipe, BaseShapes.read(tiny_base))[:2]]
    assert [(shape.rank, shape.alpha) for shape in shapes] == [(4, 8), (16, 16)]


def test_a_base_that_was_kept_in_bfloat16_learns_in_float32(
    adapter_dir: Path, tiny_base: Path
) -> None:
    """On the last rung alone, where its own weights learn."""
    tables = read_recipe(adapter_dir).model_dump(exclude={"search"}, exclude_none=True)
    recipe = recipe_of(laid_over(tables, {"training": {"precision": "bfloat16"}}), "a test")
    rungs = rungs_of(recipe, BaseShapes.read(tiny_base))
    kept = [rung.recipe.training.precision for rung in rungs]
    assert kept == ["bfloat16"] * (len(rungs) - 1) + ["float32"]

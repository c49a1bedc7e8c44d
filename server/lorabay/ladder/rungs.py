"""The rungs: the recipe as it is, a higher rank, more modules, and at last every weight.

Each is a whole recipe, which costs more than the one before. Trains nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.base.module_names import part_of
from lorabay.base.shapes import is_embedding
from lorabay.errors import SetupError
from lorabay.training.recipe import Recipe, laid_over, recipe_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lorabay.base.shapes import BaseShapes

HIGHER = 4
"""How many times the rank grows; alpha grows with it, so that the scale stays."""
LARGEST_RANK = 512

_FFN = ("mlp", "feed_forward", "ffn", "block_sparse_moe", "experts")
"""Parts of a layer's names that feed forward."""
_HEADS = ("lm_head", "embed_out", "output", "score")


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to train, and its name, which is that of its folder."""

    name: str
    recipe: Recipe


def rungs_of(recipe: Recipe, base: BaseShapes) -> tuple[Rung, ...]:
    """Return the rungs over a recipe for a base, each of them once.

    Raises SetupError for a recipe that already trains every weight: nothing is above it.
    """
    if recipe.variant.name == "full":
        raise SetupError("the recipe trains every weight: there is nothing to climb to")

    attention, every = _layers(base)
    higher = _higher(recipe)

    rungs = [
        Rung("recipe", recipe),
        Rung("rank", _with_lora(recipe, higher)),
        Rung("attention", _with_lora(recipe, {**higher, "target_modules": attention})),
        Rung("ffn", _with_lora(recipe, {**higher, "target_modules": every})),
        Rung("full", _in_full(recipe)),
    ]
    return tuple(_different(rungs))


def _higher(recipe: Recipe) -> dict[str, object]:
    """Return a higher rank, and the alpha with which the product keeps its scale."""
    rank = min(recipe.shape.rank * HIGHER, LARGEST_RANK)
    grown = rank / recipe.shape.rank
    # rsLoRA's scale is alpha over the root of the rank.
    alpha = recipe.shape.alpha * (math.sqrt(grown) if recipe.is_rank_stabilised else grown)
    return {"rank": rank, "alpha": round(alpha)}


def _layers(base: BaseShapes) -> tuple[list[str], list[str]]:
    """Return the last parts of the names of the language model's layers: those of attention and of
    what is already adapted with it, and all.
    """
    names = [
        module
        for module, shape in base.shapes.items()
        if shape is not None and len(shape) == 2 and not is_embedding(module)
    ]
    layers = [name for name in names if not part_of(name) and name.rpartition(".")[2] not in _HEADS]
    attention = {name.rpartition(".")[2] for name in layers if not _feeds_forward(name)}
    every = {name.rpartition(".")[2] for name in layers}
    return sorted(attention), sorted(every)


def _feeds_forward(module: str) -> bool:
    return any(part in _FFN for part in module.split("."))


def _with_lora(recipe: Recipe, changes: Mapping[str, object]) -> Recipe:
    """Return the recipe with other values in `[lora]`; modules are added, never taken away."""
    modules = changes.get("target_modules", ())
    if isinstance(modules, list):
        changes = {**changes, "target_modules": [*recipe.shape.target_modules, *modules]}
    return _changed(recipe, {"lora": changes})


def _in_full(recipe: Recipe) -> Recipe:
    """Return the recipe for every weight, which learn in float32 whatever the base was kept in."""
    tables = recipe.model_dump(exclude={"lora", "search"}, exclude_none=True)
    every = {"variant": {"name": "full"}, "training": {"precision": "float32"}}
    return recipe_of(laid_over(tables, every), "the last rung")


def _changed(recipe: Recipe, changes: Mapping[str, object]) -> Recipe:
    tables = recipe.model_dump(exclude={"search"}, exclude_none=True)
    return recipe_of(laid_over(tables, changes), "a rung")


def _different(rungs: Iterable[Rung]) -> Iterable[Rung]:
    """Yield rungs without those that are like the one below."""
    below: Recipe | None = None
    for rung in rungs:
        if rung.recipe != below:
            yield rung
        below = rung.recipe

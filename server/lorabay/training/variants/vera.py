"""VeRA: ΔW = diag(b) B diag(d) A. A and B are random, frozen and shared by all modules; each
module learns its vectors b and d.

The file holds A and B, so that nobody has to draw them again. Kopiczko, Blankevoort and Asano,
"VeRA: Vector-based Random Matrix Adaptation" (2023).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peft import VeraConfig

from lorabay.training.variant_tables import VeraVariant
from lorabay.training.variants.base_model import with_adapter
from lorabay.training.variants.interface import Trainee, Variant
from lorabay.training.variants.lora import save

if TYPE_CHECKING:
    from lorabay.training.recipe import Recipe
    from lorabay.training.variants.interface import Group


def _table(recipe: Recipe) -> VeraVariant:
    if not isinstance(recipe.variant, VeraVariant):
        raise TypeError(recipe.variant)
    return recipe.variant


def adapt(model: Any, recipe: Recipe, steps: int) -> Trainee:
    """Add the vectors, and A and B drawn from the recipe's seed."""
    config = VeraConfig(
        task_type="CAUSAL_LM",
        r=recipe.shape.rank,
        vera_dropout=recipe.shape.dropout,
        target_modules=list(recipe.shape.target_modules),
        projection_prng_key=recipe.training.seed,
    )
    return Trainee(with_adapter(model, config))


def groups(trainee: Trainee, recipe: Recipe) -> list[Group]:
    """Let the vectors learn at a rate that is higher than LoRA's."""
    rate = recipe.training.learning_rate * _table(recipe).rate
    return [{"params": list(trainee.learning().values()), "lr": rate}]


def sentence(recipe: Recipe) -> str:
    """Name the rank and what is shared."""
    return (
        f"VeRA of rank {recipe.shape.rank}: two vectors a module over one frozen random pair of "
        "matrices"
    )


VERA = Variant(adapt, groups, save, sentence)

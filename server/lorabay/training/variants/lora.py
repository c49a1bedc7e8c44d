"""Plain LoRA, and what changes it and still is a product of two matrices: rsLoRA's scale, DoRA's
magnitudes, and LoRA+, which lets B learn faster than A.

Hu et al., "LoRA" (2021); Kalajdzievski, "A Rank Stabilization Scaling Factor for Fine-Tuning with
LoRA" (2023); Liu et al., "DoRA" (2024); Hayou, Ghosh and Yu, "LoRA+" (2024).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peft import LoraConfig, get_peft_model_state_dict

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.training.save import clean_config, write_adapter
from lorabay.training.variants.base_model import with_adapter
from lorabay.training.variants.interface import Trainee, Variant

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.training.recipe import Recipe
    from lorabay.training.variants.interface import Group


def config_of(recipe: Recipe, **others: Any) -> LoraConfig:
    """Return PEFT's config of a recipe's adapter, with other fields of its own."""
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.shape.rank,
        lora_alpha=recipe.shape.alpha,
        lora_dropout=recipe.shape.dropout,
        target_modules=list(recipe.shape.target_modules),
        use_rslora=recipe.is_rank_stabilised,
        use_dora=recipe.has_magnitudes,
        **others,
    )


def adapt(model: Any, recipe: Recipe, steps: int) -> Trainee:
    """Add A, B and, for DoRA, the magnitudes."""
    return Trainee(with_adapter(model, config_of(recipe)))


def groups(trainee: Trainee, recipe: Recipe) -> list[Group]:
    """Give the B matrices a rate of their own, which is LoRA+'s only change."""
    learning = trainee.learning()
    matrices_b = [parameter for name, parameter in learning.items() if "lora_B" in name]
    others = [parameter for name, parameter in learning.items() if "lora_B" not in name]

    rate = recipe.training.learning_rate
    return [
        {"params": others, "lr": rate},
        {"params": matrices_b, "lr": rate * recipe.ratio_of_b},
    ]


def save(trainee: Trainee, recipe: Recipe, base: Path, folder: Path) -> None:
    """Write the two files of PEFT's format."""
    # PEFT shortens the names in AdaLoRA's config here, and warns of modules that lost all ranks.
    with quiet_transformers():
        tensors = get_peft_model_state_dict(trainee.model)
    config = clean_config(trainee.model.peft_config["default"], base)
    write_adapter(folder, tensors, config, recipe.training.dtype)


def sentence(recipe: Recipe) -> str:
    """Name the variant, its scale and its rate of B."""
    parts = [f"LoRA of rank {recipe.shape.rank}, alpha {recipe.shape.alpha}"]
    if recipe.is_rank_stabilised:
        parts.append("scaled by alpha over the root of the rank (rsLoRA)")
    if recipe.has_magnitudes:
        parts.append("with a trained magnitude for each output (DoRA)")
    if recipe.ratio_of_b != 1:
        parts.append(f"B learnt {recipe.ratio_of_b:g} times as fast as A (LoRA+)")
    return ", ".join(parts)


LORA = Variant(adapt, groups, save, sentence)

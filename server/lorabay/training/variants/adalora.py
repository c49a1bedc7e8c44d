"""AdaLoRA: each module starts with more ranks than it ends with, and those that matter least go.

ΔW = P Λ Q. PEFT scores every rank by its gradients after each step, and sets the weakest of Λ to
zero along a cubic schedule, until the mean rank is the recipe's.
Zhang et al., "Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning" (2023).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft import AdaLoraConfig

from lorabay.errors import SetupError
from lorabay.training.variant_tables import AdaLoraVariant
from lorabay.training.variants.base_model import with_adapter
from lorabay.training.variants.interface import Trainee, Variant
from lorabay.training.variants.lora import save

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.training.recipe import Recipe
    from lorabay.training.variants.interface import Group

_MEMORY = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What PEFT's allocator remembers of the importance of every value."""


def _table(recipe: Recipe) -> AdaLoraVariant:
    if not isinstance(recipe.variant, AdaLoraVariant):
        raise TypeError(recipe.variant)
    return recipe.variant


def initial_rank(recipe: Recipe) -> int:
    """Return the rank of each module at the start."""
    return _table(recipe).initial_rank or recipe.shape.rank + (recipe.shape.rank + 1) // 2


def adapt(model: Any, recipe: Recipe, steps: int) -> Trainee:
    """Add P, Λ and Q. Raises SetupError where no steps are left to take ranks away in."""
    table = _table(recipe)
    first, last = int(steps * table.warmup), int(steps * table.settled)
    if initial_rank(recipe) <= recipe.shape.rank:
        raise SetupError(
            f"variant.initial_rank {initial_rank(recipe)} leaves nothing to take away from "
            f"lora.rank {recipe.shape.rank}"
        )
    if steps - first - last < 2:
        raise SetupError(
            f"{steps} steps are too few for AdaLoRA: with variant.warmup {table.warmup} and "
            f"variant.settled {table.settled} none is left to move the ranks in"
        )

    config = AdaLoraConfig(
        task_type="CAUSAL_LM",
        init_r=initial_rank(recipe),
        target_r=recipe.shape.rank,
        lora_alpha=recipe.shape.alpha,
        lora_dropout=recipe.shape.dropout,
        target_modules=list(recipe.shape.target_modules),
        total_step=steps,
        tinit=first,
        tfinal=last,
        deltaT=min(table.interval, steps - first - last),
        orth_reg_weight=table.orthogonality,
    )
    return Trainee(with_adapter(model, config))


def groups(trainee: Trainee, recipe: Recipe) -> list[Group]:
    """Let everything learn at one rate."""
    rate = recipe.training.learning_rate * _table(recipe).rate
    return [{"params": list(trainee.learning().values()), "lr": rate}]


def penalty(trainee: Trainee) -> torch.Tensor | None:
    """Return PEFT's penalty for directions of a module that are not orthogonal: the mean distance
    of Qᵀ Q and P Pᵀ from the identity.
    """
    weight = float(trainee.model.peft_config["default"].orth_reg_weight)
    if not weight:
        return None

    distances = []
    for name, matrix in trainee.learning().items():
        if "lora_A" in name:
            distances.append(_distance(matrix @ matrix.T))
        elif "lora_B" in name:
            distances.append(_distance(matrix.T @ matrix))
    mean: torch.Tensor = torch.stack(distances).mean()
    return weight * mean


def _distance(products: torch.Tensor) -> torch.Tensor:
    identity = torch.eye(len(products), dtype=products.dtype, device=products.device)
    distance: torch.Tensor = torch.linalg.matrix_norm(products - identity)
    return distance


def after_step(trainee: Trainee, step: int) -> None:
    """Score the ranks and take away the weakest, when it is time."""
    trainee.model.base_model.update_and_allocate(step)


def state(trainee: Trainee) -> dict[str, Any]:
    """Return what the allocator remembers, and which ranks are left."""
    allocator = trainee.model.base_model.rankallocator
    memory: dict[str, Any] = {name: dict(getattr(allocator, name)) for name in _MEMORY}
    return {**memory, "rank_pattern": trainee.model.peft_config["default"].rank_pattern}


def restore(trainee: Trainee, state: Mapping[str, Any]) -> None:
    """Give the allocator its memory back."""
    allocator = trainee.model.base_model.rankallocator
    for name in _MEMORY:
        setattr(allocator, name, dict(state[name]))
    trainee.model.peft_config["default"].rank_pattern = state["rank_pattern"]


def sentence(recipe: Recipe) -> str:
    """Name both ranks."""
    return (
        f"AdaLoRA, from rank {initial_rank(recipe)} to a mean rank of {recipe.shape.rank}, "
        f"alpha {recipe.shape.alpha}"
    )


ADALORA = Variant(
    adapt=adapt,
    groups=groups,
    save=save,
    sentence=sentence,
    penalty=penalty,
    after_step=after_step,
    state=state,
    restore=restore,
)

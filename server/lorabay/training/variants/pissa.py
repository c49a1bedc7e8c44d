"""PiSSA: A and B start as the largest singular directions of each weight, and the base keeps the
rest while training.

Saved as what changed: B A - B0 A0 over the plain base, a product of twice the rank, so that it is
served like any LoRA. Both products are nearly equal and large, so their difference is taken before
it is rounded. The decomposition is the exact one, which gives the same bytes each time.
Meng, Wang and Zhang, "PiSSA" (2024).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from peft import get_peft_model_state_dict

from lorabay.training.save import clean_config, write_adapter
from lorabay.training.variants.base_model import with_adapter
from lorabay.training.variants.interface import Trainee, Variant
from lorabay.training.variants.lora import config_of, groups

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorabay.training.recipe import Recipe

_A, _B = ".lora_A.weight", ".lora_B.weight"


def adapt(model: Any, recipe: Recipe, steps: int) -> Trainee:
    """Move the largest singular directions of each weight into A and B."""
    peft = with_adapter(model, config_of(recipe, init_lora_weights="pissa"))
    initial = {name: value.clone() for name, value in get_peft_model_state_dict(peft).items()}
    return Trainee(peft, initial)


def save(trainee: Trainee, recipe: Recipe, base: Path, folder: Path) -> None:
    """Write the change of the plain base as LoRA of twice the rank."""
    config = clean_config(trainee.model.peft_config["default"], base)
    config["init_lora_weights"] = True
    config["r"] = 2 * recipe.shape.rank
    # The scale stays what it was in the training: alpha over the rank, or over its root.
    if recipe.is_rank_stabilised:
        config["lora_alpha"] = recipe.shape.alpha * math.sqrt(2)
    else:
        config["lora_alpha"] = recipe.shape.alpha * 2

    trained = get_peft_model_state_dict(trainee.model)
    tensors = _difference(trained, trainee.initial)
    write_adapter(folder, tensors, config, recipe.training.dtype)


def _difference(
    trained: Mapping[str, torch.Tensor], initial: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return A and B of the change, by the names of the trained ones."""
    tensors = {}
    for name_a in trained:
        if not name_a.endswith(_A):
            continue
        name_b = name_a.removesuffix(_A) + _B
        wide_a = torch.cat([trained[name_a], initial[name_a]])
        wide_b = torch.cat([trained[name_b], -initial[name_b]], dim=1)
        tensors[name_b], tensors[name_a] = balanced(wide_b, wide_a)
    return tensors


def balanced(b: torch.Tensor, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two matrices of the same shapes and the same product, each with half of its size.

    `b` is (outputs, rank), `a` (rank, inputs). What cancels in the product has then gone, and
    rounding the two costs no more than rounding the product. Directions beyond the smaller side of
    the weight are zero.
    """
    rank = b.shape[1]
    left, upper = torch.linalg.qr(b.double())
    right, lower = torch.linalg.qr(a.double().T)
    u, sizes, v = torch.linalg.svd(upper @ lower.T, full_matrices=False)

    root = sizes.sqrt()
    new_b, new_a = left @ u * root, root[:, None] * v @ right.T
    missing = rank - len(sizes)
    if missing:
        new_b = torch.nn.functional.pad(new_b, (0, missing))
        new_a = torch.nn.functional.pad(new_a, (0, 0, 0, missing))
    return new_b.to(b.dtype), new_a.to(a.dtype)


def sentence(recipe: Recipe) -> str:
    """Name both ranks: that of the training, and that of the files."""
    rank = recipe.shape.rank
    return (
        f"PiSSA of rank {rank}, alpha {recipe.shape.alpha}, saved as what it changes in the plain "
        f"base: LoRA of rank {2 * rank}"
    )


PISSA = Variant(adapt, groups, save, sentence)

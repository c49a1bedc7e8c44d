"""A trained adapter's folder: `adapter_model.safetensors` and a clean `adapter_config.json`, in
PEFT's format.

Guarantees that each file is whole at every moment, with the weights before the config. Neither file
names this machine.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import peft
import torch
from safetensors.torch import save

from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorabay.training.recipe import Recipe


def write_adapter(
    folder: Path, tensors: Mapping[str, torch.Tensor], recipe: Recipe, base_model: str
) -> None:
    """Write both files into `folder`, which is made if need be; they replace older ones.

    The weights get the recipe's number format, in the order of their names. Raises SetupError for
    weights that are not finite in it; then nothing is written.
    """
    dtype = getattr(torch, recipe.training.dtype)
    weights = {name: tensors[name].detach().to(dtype).contiguous() for name in sorted(tensors)}
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise SetupError(
                f"the trained {name} holds NaN or infinite values in {recipe.training.dtype}, and "
                "nothing was written; choose a smaller learning_rate or dtype bfloat16"
            )

    config = {
        "base_model_name_or_path": base_model,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": recipe.lora.alpha,
        "lora_dropout": recipe.lora.dropout,
        "peft_type": "LORA",
        "peft_version": peft.__version__,
        "r": recipe.lora.rank,
        "target_modules": list(recipe.lora.target_modules),
        "task_type": "CAUSAL_LM",
        "use_dora": recipe.lora.use_dora,
        "use_rslora": recipe.lora.use_rslora,
    }

    # The weights first: a config without weights would be an adapter that cannot be loaded.
    folder.mkdir(parents=True, exist_ok=True)
    durable.write(folder / WEIGHTS_FILE, save(weights, metadata={"format": "pt"}))
    durable.write(folder / CONFIG_FILE, json.dumps(config, indent=2) + "\n")

"""A trained adapter's folder: `adapter_model.safetensors` and a clean `adapter_config.json`, in
PEFT's format.

Guarantees that each file is whole at every moment, with the weights before the config. Neither file
names this machine.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

import peft
import torch
from safetensors.torch import save

from lorabay.base.files import public_name, read_config
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ALWAYS = (
    "bias",
    "fan_in_fan_out",
    "init_lora_weights",
    "init_r",
    "lora_alpha",
    "lora_dropout",
    "r",
    "use_dora",
    "use_rslora",
)
"""Fields that are written whether or not they have PEFT's default, where a type has them."""


def clean_config(config: Any, base: Path) -> dict[str, Any]:
    """Return PEFT's config as JSON, for the base in a folder: lists in order, the base's public
    name, and no field that nobody set but those that every reader looks for.
    """
    clean: dict[str, Any] = {
        "base_model_name_or_path": public_name(read_config(base), base),
        "inference_mode": True,
        "peft_type": config.peft_type.value,
        "peft_version": peft.__version__,
        "task_type": "CAUSAL_LM",
    }
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name not in clean and (field.name in _ALWAYS or value != _default(field)):
            clean[field.name] = sorted(value) if isinstance(value, set) else value
    return dict(sorted(clean.items()))


def _default(field: Any) -> Any:
    if field.default is not MISSING:
        return field.default
    return None if field.default_factory is MISSING else field.default_factory()


def write_adapter(
    folder: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], dtype: str
) -> None:
    """Write both files into `folder`, which is made if need be; they replace older ones.

    The weights get the number format `dtype`, in the order of their names. Raises SetupError for
    weights that are not finite in it; then nothing is written.
    """
    number_format = getattr(torch, dtype)
    weights = {}
    for name in sorted(tensors):
        check_finite(name, tensors[name], dtype)
        weights[name] = tensors[name].detach().to("cpu", number_format).contiguous()

    # The weights first: a config without weights would be an adapter that cannot be loaded.
    folder.mkdir(parents=True, exist_ok=True)
    durable.write(folder / WEIGHTS_FILE, save(weights, metadata={"format": "pt"}))
    durable.write(folder / CONFIG_FILE, json.dumps(config, indent=2) + "\n")


def check_finite(name: str, tensor: torch.Tensor, dtype: str) -> None:
    """Raise SetupError if a trained tensor holds more than numbers in a number format."""
    if not tensor.detach().to(getattr(torch, dtype)).isfinite().all():
        raise SetupError(
            f"the trained {name} holds NaN or infinite values in {dtype}, and nothing was "
            "written; choose a smaller learning_rate or dtype bfloat16"
        )

"""The base as it is trained on: its values, and the modules that a recipe's targets name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft import get_peft_model

from lorabay.base.causal_lm import load_model
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from lorabay.training.recipe import Recipe

_SHOWN = 12


def load_base(base: Path, recipe: Recipe) -> Any:
    """Return the model of a base folder in the recipe's precision."""
    return load_model(base, dtype=getattr(torch, recipe.training.precision))


def with_adapter(model: Any, config: Any) -> Any:
    """Return PEFT's model: the base with a fresh adapter. Raises SetupError for modules that the
    base does not have.
    """
    check_targets(model, config.target_modules)
    with quiet_transformers():
        return get_peft_model(model, config)


def check_targets(model: Any, targets: Collection[str]) -> None:
    """Raise SetupError, with names that would do, if a target matches no module of the model.

    PEFT itself takes no notice of one name that matches nothing beside others that do.
    """
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    missing = [
        target
        for target in sorted(targets)
        if not any(name == target or name.endswith(f".{target}") for name in linear)
    ]
    if not missing:
        return

    ends = sorted({name.rpartition(".")[2] for name in linear})[:_SHOWN]
    raise SetupError(
        f"the base has no linear module {', '.join(missing)}, which lora.target_modules names; "
        f"it has {', '.join(ends)}"
    )

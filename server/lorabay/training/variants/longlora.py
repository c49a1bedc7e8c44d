"""LongLoRA: an adapter for texts that are longer than the base's context.

Positions are squeezed into the range that the base knows, attention is sparse while training, and
norms and embeddings learn beside LoRA. The folder holds them, and a `config.json` with the longer
context; an engine has one context for all, so the result is merged.
Chen et al., "LongLoRA: Efficient Fine-tuning of Long-Context Large Language Models" (2023); Chen et
al., "Extending Context Window of Large Language Models via Positional Interpolation" (2023).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig

from lorabay.base.causal_lm import load_model
from lorabay.base.context import FIELDS
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.side_files import MODEL_CONFIG_FILE
from lorabay.training.variant_tables import LongLoraVariant
from lorabay.training.variants import shifted_attention
from lorabay.training.variants.base_model import with_adapter
from lorabay.training.variants.interface import Trainee, Variant
from lorabay.training.variants.lora import config_of, groups, save as save_lora, sentence as lora

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.training.recipe import Recipe


def _table(recipe: Recipe) -> LongLoraVariant:
    if not isinstance(recipe.variant, LongLoraVariant):
        raise TypeError(recipe.variant)
    return recipe.variant


def load(base: Path, recipe: Recipe) -> Any:
    """Return the base with the longer context and the sparse attention.

    Raises SetupError for a context that is no longer than the base's, or a base that squeezes its
    positions already.
    """
    with quiet_transformers():
        config = AutoConfig.from_pretrained(base, local_files_only=True)
    _lengthen(config, _table(recipe).context)

    shifted_attention.register()
    setattr(config, shifted_attention.GROUPS, _table(recipe).groups)
    return load_model(base, config=config, attn_implementation=shifted_attention.NAME)


def _lengthen(config: Any, context: int) -> None:
    length = config.max_position_embeddings
    rope = dict(config.rope_parameters or {})
    if context <= length:
        raise SetupError(
            f"variant.context {context} is not longer than the {length} positions that the base "
            "reads already"
        )
    if rope.get("rope_type", "default") != "default":
        raise SetupError(
            f"the base scales its positions already ({rope['rope_type']}), and longlora can only "
            "scale plain ones"
        )

    config.rope_parameters = {**rope, "rope_type": "linear", "factor": context / length}
    config.max_position_embeddings = context


def adapt(model: Any, recipe: Recipe, steps: int) -> Trainee:
    """Add A and B, and let norms and embeddings learn as they are."""
    whole = sorted({name.rpartition(".")[2] for name, part in model.named_modules() if _is(part)})
    config = config_of(
        recipe, modules_to_save=whole, ensure_weight_tying=bool(model.config.tie_word_embeddings)
    )
    return Trainee(with_adapter(model, config))


def _is(module: Any) -> bool:
    """Return whether a module is a norm or an embedding."""
    return isinstance(module, torch.nn.Embedding) or "norm" in type(module).__name__.lower()


def save(trainee: Trainee, recipe: Recipe, base: Path, folder: Path) -> None:
    """Write the adapter, and beside it what the model's config says of positions."""
    save_lora(trainee, recipe, base, folder)
    config = trainee.causal_lm.config.to_dict()
    said = {name: config[name] for name in FIELDS if config.get(name) is not None}
    described = {"model_type": config["model_type"], **said}
    durable.write(folder / MODEL_CONFIG_FILE, json.dumps(described, indent=2) + "\n")


def sentence(recipe: Recipe) -> str:
    """Name the adapter and the context."""
    return (
        f"{lora(recipe)}, with trained norms and embeddings, for {_table(recipe).context} "
        "positions (LongLoRA): to be merged"
    )


LONGLORA = Variant(adapt, groups, save, sentence, load=load)

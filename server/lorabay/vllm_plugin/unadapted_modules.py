"""Modules that an adapter changes and this engine would leave as they are.

vLLM puts an adapter's weights into the layers that it has prepared for adapters, and drops the rest
without a word: those of an image tower, or of what `lora_target_modules` leaves out. Of names it
compares the last part alone. Such an adapter would answer with a part of itself, or like the base.

The decision is made from the tables of vLLM's own manager, so that it is the same for an engine's
model and for one without weights. Works on every device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from vllm.lora.lora_model import LoRAModel
from vllm.lora.utils import is_in_target_modules
from vllm.model_executor.layers.attention.mla_attention import MLAAttention
from vllm.model_executor.layers.fused_moe import MoERunner
from vllm.model_executor.models.utils import PPMissingLayer

from lorabay.vllm_plugin.module_names import factor_name, renames_of, vllm_name

if TYPE_CHECKING:
    from vllm.lora.model_manager import LoRAModelManager

SKIPPED = "vLLM skips the adapters of that part of the base"
ABSENT = "vLLM's model of the base has no such layer"
LEFT_OUT = (
    "the engine option lora_target_modules leaves it out; name it there, or leave the option away"
)
PACKED = "vLLM packs that layer from several modules, and takes adapters of those alone"
INERT = "the engine computes with that weight itself, not through a layer that takes adapters"
TOWER = "it adapts the language model only"
TOWER_ON_REQUEST = (
    f"{TOWER}; start with --engine enable_tower_connector_lora=true to adapt this part, too"
)
CLASSIFIES_TOKENS = "vLLM adapts the head of a classifier of whole texts, not that of one of tokens"
NO_LAYER = "vLLM's class of the base takes no adapters there"

_NAMED = 3
"""Modules that the message spells out."""

_EXPERTS = ".experts"


def check_all_adapted(manager: LoRAModelManager, modules: Iterable[str]) -> None:
    """Raise ValueError if the engine would drop what an adapter does to one of its `modules`."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for module, reason in unadapted(manager, modules).items():
        by_reason[reason].append(module)
    if not by_reason:
        return

    sentences = (
        f"the adapter changes {_listed(names)}, which this engine does not adapt: {reason}"
        for reason, names in by_reason.items()
    )
    raise ValueError("; ".join(sentences))


def unadapted(manager: LoRAModelManager, modules: Iterable[str]) -> dict[str, str]:
    """Return those of `modules`, named as in the base's files, that no layer takes, and why.

    A layer that is in another process of a pipeline takes what belongs to it there.
    """
    taken = _taken_names(manager)
    renames = renames_of(manager.model)
    skipped = getattr(manager.model, "lora_skip_prefixes", None) or []
    of_tokens = getattr(manager, "_pooling_task", None) == "token_classify"
    heads = manager.supported_modules_to_save if of_tokens else ()
    # Gone through for adapters alone that have something to be told of.
    layers_of = cache(lambda: dict(manager.model.named_modules(remove_duplicate=False)))

    found: dict[str, str] = {}
    for module in modules:
        if LoRAModel._should_skip_module(factor_name(module), skipped):
            found[module] = SKIPPED
            continue

        name = vllm_name(module, renames)
        if name in heads:
            found[module] = CLASSIFIES_TOKENS
        elif name not in taken and not _is_elsewhere(name, layers_of()):
            found[module] = _reason(name, manager, layers_of())

    return found


def _taken_names(manager: LoRAModelManager) -> set[str]:
    """Return vLLM's names of all weights that some layer of the model takes.

    Found once for each manager: every load asks, and a model's layers stay what they are.
    """
    known: set[str] | None = manager.__dict__.get("taken_names")
    if known is None:
        known = manager.taken_names = _find_taken_names(manager)
    return known


def _find_taken_names(manager: LoRAModelManager) -> set[str]:
    """Go through the layers.

    A packed layer takes its parts and nothing else. Experts that are stored as one tensor have two
    names: PEFT puts the adapter of a module's second parameter below its first.
    """
    uncalled = _uncalled_layers(manager.model)
    names: set[str] = set()
    for name, layer in manager.modules.items():
        base_layer = getattr(layer, "base_layer", None)
        if id(layer) in uncalled or id(base_layer) in uncalled:
            continue

        names.update(manager.packed_modules.get(name, (name,)))
        if isinstance(base_layer, MoERunner) and name not in manager.packed_modules:
            names.add(f"{name}.base_layer")

    if manager.is_pooling_model:
        # vLLM looks a second time without that part of the name.
        names |= {name.removeprefix("model.") for name in names}
    return names


def _uncalled_layers(model: Any) -> set[int]:
    """Return the ids of the layers that the model has and never calls.

    Latent attention multiplies with the weights of `kv_b_proj`, which it has folded into its own.
    """
    attentions = (layer for layer in model.modules() if isinstance(layer, MLAAttention))
    return {id(attention.kv_b_proj) for attention in attentions}


def _is_elsewhere(name: str, layers: Mapping[str, Any]) -> bool:
    """Return whether another process of a pipeline has the layer, or one around it."""
    parts = name.split(".")
    wholes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return any(isinstance(layers.get(whole), PPMissingLayer) for whole in wholes)


def _reason(name: str, manager: LoRAModelManager, layers: Mapping[str, Any]) -> str:
    """Return why no layer takes the weights of this name."""
    whole = _layer_name(name, layers, manager.packed_modules_mapping)
    if whole not in layers:
        return ABSENT

    targets = manager.lora_config.target_modules
    if not is_in_target_modules(whole, targets, manager.packed_modules_mapping):
        return LEFT_OUT

    if whole in manager.packed_modules:
        return PACKED
    if whole in manager.modules:
        return INERT if name == whole else ABSENT

    if manager._get_punica_wrapper(whole) is None:
        can = getattr(manager.model, "supports_tower_connector_lora", False)
        return TOWER_ON_REQUEST if can else TOWER
    return NO_LAYER


def _layer_name(
    name: str, layers: Mapping[str, Any], packed_modules: Mapping[str, list[str]]
) -> str:
    """Return the name of the layer that has these weights: packed with others, or alone."""
    around, experts, _ = name.partition(f"{_EXPERTS}.")
    if experts:
        return f"{around}{_EXPERTS}"
    if name in layers:
        return name

    parent, _, last = name.rpartition(".")
    for layer, parts in packed_modules.items():
        if last in parts:
            return f"{parent}.{layer}" if parent else layer
    return name


def _listed(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown

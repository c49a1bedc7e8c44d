"""Modules that an adapter changes and this engine would leave as they are.

vLLM puts an adapter's weights into the layers that it has prepared for adapters, and drops the rest
without a word: those of an image tower, or of what `lora_target_modules` leaves out. Such an
adapter would answer with a part of itself. Works on every device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vllm.lora.layers import BaseLayerWithLoRA
from vllm.model_executor.models.utils import PPMissingLayer

if TYPE_CHECKING:
    from vllm.lora.lora_model import LoRAModel
    from vllm.lora.model_manager import LoRAModelManager

_NAMED = 3
"""Modules that the message spells out."""


def check_all_adapted(manager: LoRAModelManager, model: LoRAModel) -> None:
    """Raise ValueError if the engine would drop weights of an adapter, as vLLM has read it."""
    layers: dict[str, Any] = dict(manager.model.named_modules())
    dropped = sorted(name for name in model.loras if _is_dropped(name, manager, layers))
    if not dropped:
        return

    names = ", ".join(dropped[:_NAMED])
    more = f" and {len(dropped) - _NAMED} more" if len(dropped) > _NAMED else ""
    raise ValueError(f"the adapter changes {names}{more}, which this engine does not adapt")


def _is_dropped(name: str, manager: LoRAModelManager, layers: Mapping[str, Any]) -> bool:
    """Return whether the model has a layer for these weights, and it takes none.

    A layer that is not here at all may be in another process of a pipeline.
    """
    packed = _packed(name, manager.packed_modules_mapping)
    if any(part in manager.modules for whole in (name, packed) for part in _ends(whole)):
        return False

    layer = layers.get(name, layers.get(packed))
    return layer is not None and not isinstance(layer, BaseLayerWithLoRA | PPMissingLayer)


def _packed(name: str, packed_modules: Mapping[str, list[str]]) -> str:
    """Return the name of the layer that vLLM packs a module into, or its own."""
    parent, _, last = name.rpartition(".")
    for layer, parts in packed_modules.items():
        if last in parts:
            return f"{parent}.{layer}" if parent else layer
    return name


def _ends(name: str) -> list[str]:
    """Return a module's name and those of the modules around it: experts lie within one layer."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]

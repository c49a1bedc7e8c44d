"""Brings an adapter into vLLM's worker in two steps: everything slow beside the engine's loop, the
rest on it.

vLLM reads, checks, converts and packs an adapter on the loop that computes tokens, so that every
stream waits. Here `prepare` does all of that, in a thread of low priority when `staging` asks for
it, and what is left on the loop is to enter the adapter into vLLM's tables and put it into its
slot. Output scales of DoRA versions, which vLLM does not know, are read here too.
Device-independent; on a CPU the tensors also get the layout that the kernels read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.lora_model import LoRAModel
from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.utils import parse_fine_tuned_lora_name
from vllm.lora.worker_manager import WorkerLoRAManager

from lorabay.vllm_plugin import staging
from lorabay.vllm_plugin.scaled_outputs import can_scale, cut_scales, put_scales

if TYPE_CHECKING:
    from lorabay.vllm_plugin.module_slots import ModuleWeights

SCALES_FILE = "output_scales.safetensors"
"""In a version's folder: one float32 tensor `<module>.scale` (outputs,) for each module with an
output factor.
"""

_SUFFIX = ".scale"
_read_adapter = WorkerLoRAManager._load_adapter
_add_adapter = LoRAModelManager._add_adapter
_activate_adapter = LoRAModelManager.activate_adapter


def install() -> None:
    """Replace the managers' methods; idempotent."""
    WorkerLoRAManager._load_adapter = load
    LoRAModelManager._add_adapter = add
    LoRAModelManager.activate_adapter = activate


def load(manager: WorkerLoRAManager, request: Any) -> LoRAModel:
    """What was staged under the request's id, or a load here and now."""
    staged = staging.take(request.lora_int_id)
    return prepare(manager, request) if staged is None else staged.result()


def prepare(manager: WorkerLoRAManager, request: Any) -> LoRAModel:
    """Read, check, convert, pack and lay out an adapter. Raises what vLLM raises for a bad one, and
    ValueError for output scales that this engine cannot apply.

    Touches nothing that a step reads or changes, so that it may run beside one.
    """
    adapters: LoRAModelManager = manager._adapter_manager
    model: LoRAModel = _read_adapter(manager, request)
    factors = read_scales(Path(request.lora_path), adapters)
    _check_scales(adapters, factors)
    model.output_scales = cut_scales(adapters.modules, factors)
    adapters._create_merged_loras_inplace(model)
    _lay_out(adapters, model, factors)
    model.is_prepared = True
    return model


def add(manager: LoRAModelManager, model: LoRAModel) -> None:
    """Enter an adapter into vLLM's table; one that was not prepared (vLLM's dummies) takes vLLM's
    way.
    """
    if getattr(model, "is_prepared", False):
        manager._registered_adapters[model.id] = model
    else:
        _add_adapter(manager, model)


def activate(manager: LoRAModelManager, lora_id: int) -> bool:
    """Put an adapter into a slot, with its output scales. One that fails on the way is forgotten
    again: vLLM would take it for loaded, and answer with the half of it that it has.
    """
    try:
        activated: bool = _activate_adapter(manager, lora_id)
        if activated:
            slot = manager.lora_index_to_id.index(lora_id)
            scales = getattr(manager._registered_adapters.cache[lora_id], "output_scales", {})
            put_scales(manager.modules, slot, scales)
    except Exception:
        manager.remove_adapter(lora_id)
        raise
    return activated


def read_scales(folder: Path, manager: LoRAModelManager) -> dict[str, Any]:
    """vLLM's module name -> output factors (outputs,), a list of them for a packed module; empty
    without the file.
    """
    if not (folder / SCALES_FILE).is_file():
        return {}
    mapper = getattr(manager.model, "hf_to_vllm_mapper", None)
    renames = None if mapper is None else mapper.get_rename_mapper()
    with safe_open(folder / SCALES_FILE, framework="pt") as file:
        names = tuple(file.keys())
        factors = {
            _vllm_name(name.removesuffix(_SUFFIX), renames): file.get_tensor(name).float()
            for name in names
        }
    packed = {part: whole for whole, parts in manager.packed_modules.items() for part in parts}
    found: dict[str, Any] = {}
    for name, factor in factors.items():
        if (whole := packed.get(name)) is None:
            found[name] = factor
        else:
            parts = manager.packed_modules[whole]
            found.setdefault(whole, [None] * len(parts))[parts.index(name)] = factor
    return found


def _vllm_name(module: str, renames: Any) -> str:
    name: str = parse_fine_tuned_lora_name(f"base_model.model.{module}.lora_A.weight", renames)[0]
    return name


def _check_scales(manager: LoRAModelManager, scales: dict[str, Any]) -> None:
    for name in scales:
        layer = manager.modules.get(name)
        if layer is None and manager.lora_config.target_modules is None:
            continue  # another pipeline stage has it
        if not isinstance(layer, BaseLinearLayerWithLoRA) or not can_scale(layer):
            raise ValueError(f"DoRA on {name} cannot be served by this engine")


def _lay_out(manager: LoRAModelManager, model: LoRAModel, factors: dict[str, Any]) -> None:
    """On a CPU: replace the tensors by their final layout, in which the slots refer to them."""
    if torch.device(manager.device).type != "cpu":
        return
    from lorabay.vllm_plugin.lora_layers import module_weights
    from lorabay.vllm_plugin.weight_memory import gathered

    replaced: list[tuple[Any, ModuleWeights]] = []
    for name, layer in manager.modules.items():
        weights = manager._get_lora_layer_weights(model, name)
        if weights is None:
            continue
        laid_out = module_weights(layer, weights.lora_a, weights.lora_b, factors.get(name))
        if laid_out is not None:
            weights.lora_a = weights.lora_b = None  # not twice at a time
            replaced.append((weights, laid_out))
    for (weights, _), laid_out in zip(
        replaced, gathered([laid_out for _, laid_out in replaced]), strict=True
    ):
        weights.lora_a = laid_out

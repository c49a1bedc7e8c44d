"""An adapter's way into vLLM's worker, in two steps: the slow one runs beside the engine's loop.

vLLM reads, checks, converts and packs an adapter on the loop that computes tokens, so that every
stream waits. Here `prepare` does that in the staging thread. On the loop, the adapter is only
entered into vLLM's tables and put into its slot. Output scales of DoRA versions, which vLLM does
not know, are read here too. Works on every device: on a CPU the tensors get the layout that the
kernels read, for a GPU they become one block (see `device_slots`).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.lora_model import LoRAModel
from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.worker_manager import WorkerLoRAManager

from lorabay.vllm_plugin import staged_loads
from lorabay.vllm_plugin.device_slots.device_slots import slots_of
from lorabay.vllm_plugin.module_names import layer_name, modules_in, renames_of, vllm_name
from lorabay.vllm_plugin.pace import without_rest
from lorabay.vllm_plugin.scaled_outputs import can_scale, cut_scales, put_scales
from lorabay.vllm_plugin.unadapted_modules import check_all_adapted

if TYPE_CHECKING:
    from lorabay.vllm_plugin.module_slots import ModuleFactors

WEIGHTS_FILE = "adapter_model.safetensors"

SCALES_FILE = "output_scales.safetensors"
"""In a version's folder: a float32 tensor `<module>.scale` (outputs,) for each scaled module."""

_SUFFIX = ".scale"

_read_adapter = WorkerLoRAManager._load_adapter
_add_adapter = LoRAModelManager._add_adapter
_activate_adapter = LoRAModelManager.activate_adapter


def install() -> None:
    """Replace methods of vLLM's managers; idempotent."""
    WorkerLoRAManager._load_adapter = load
    LoRAModelManager._add_adapter = add
    LoRAModelManager.activate_adapter = activate


def load(manager: WorkerLoRAManager, request: Any) -> LoRAModel:
    """Return what was staged under the request's id; without that, load it here and now."""
    staged = staged_loads.take(request.lora_int_id)
    if staged is None:
        return prepare(manager, request)

    return staged.result()


def prepare(
    manager: WorkerLoRAManager, request: Any, rest: Callable[[], None] = without_rest
) -> LoRAModel:
    """Read, check, convert, pack and lay out an adapter.

    Raises what vLLM raises for a bad one, and ValueError for weights or output scales that this
    engine cannot apply. May run beside a step: it touches nothing that a step reads or changes, and
    calls `rest` wherever it may pause.
    """
    adapters: LoRAModelManager = manager._adapter_manager
    folder = Path(request.lora_path)

    # Before vLLM reads it: where vLLM refuses a name, it tells of the store's paths.
    check_all_adapted(adapters, read_modules(folder))
    rest()
    model, scaling = _read(manager, request)
    rest()

    factors = read_scales(folder, adapters)
    _check_scales(adapters, factors)
    model.output_scales = cut_scales(adapters.modules, factors)

    adapters._create_merged_loras_inplace(model)
    device_slots = slots_of(adapters)
    if device_slots is not None:
        fits = device_slots.lay_out(adapters, model)
    else:
        fits = on_cpu(adapters) and _lay_out(adapters, model, factors, scaling, rest)

    # Factors are not compared with the layers before they are written there.
    model.surely_fits = fits and not model.output_scales
    model.is_prepared = True
    return model


def add(manager: LoRAModelManager, model: LoRAModel) -> None:
    """Enter an adapter into vLLM's table.

    vLLM's own dummies, which nobody prepared, are entered as vLLM does it.
    """
    if getattr(model, "is_prepared", False):
        manager._registered_adapters[model.id] = model
    else:
        _add_adapter(manager, model)


def activate(manager: LoRAModelManager, lora_id: int) -> bool:
    """Put an adapter into a slot, with its output scales; return whether it was not in one.

    An adapter that fails on the way is removed: vLLM would take it for loaded, and answer with the
    half of it that it has.
    """
    try:
        device_slots = slots_of(manager)
        if device_slots is not None:
            return device_slots.activate(manager, lora_id, _activate_adapter)

        activated: bool = _activate_adapter(manager, lora_id)
        if activated:
            slot = manager.lora_index_to_id.index(lora_id)
            model = manager.get_adapter(lora_id)
            put_scales(manager.modules, slot, getattr(model, "output_scales", {}))
    except Exception:
        manager.remove_adapter(lora_id)
        raise

    return activated


def read_modules(folder: Path) -> list[str]:
    """Return the modules that the adapter in `folder` changes, as the base's files name them.

    Empty if there is no weights file: vLLM says so when it looks for it.
    """
    if not (folder / WEIGHTS_FILE).is_file():
        return []

    with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
        return modules_in(file.keys())


def read_scales(folder: Path, manager: LoRAModelManager) -> dict[str, Any]:
    """Return the output factors (outputs,) of each module, by vLLM's name of it.

    A packed module has a list with an entry for each part, None where the part has no factors.
    Empty without the file.
    """
    if not (folder / SCALES_FILE).is_file():
        return {}

    renames = renames_of(manager.model)
    factors: dict[str, Any] = {}
    with safe_open(folder / SCALES_FILE, framework="pt") as file:
        for name in tuple(file.keys()):
            module = vllm_name(name.removesuffix(_SUFFIX), renames)
            factors[layer_name(module, manager)] = file.get_tensor(name).float()

    return _by_packed_module(factors, manager.packed_modules)


def _by_packed_module(
    factors: dict[str, Any], packed_modules: dict[str, list[str]]
) -> dict[str, Any]:
    """Collect the factors of the parts of each packed module in one list."""
    packed_in = {part: module for module, parts in packed_modules.items() for part in parts}

    collected: dict[str, Any] = {}
    for name, factor in factors.items():
        module = packed_in.get(name)
        if module is None:
            collected[name] = factor
            continue

        parts = packed_modules[module]
        by_part = collected.setdefault(module, [None] * len(parts))
        by_part[parts.index(name)] = factor

    return collected


def _check_scales(manager: LoRAModelManager, scales: dict[str, Any]) -> None:
    for name in scales:
        layer = manager.modules.get(name)

        # With the layers spread over processes, another one has it.
        if layer is None and manager.lora_config.target_modules is None:
            continue

        if not isinstance(layer, BaseLinearLayerWithLoRA) or not can_scale(layer):
            raise ValueError(f"DoRA on {name} cannot be served by this engine")


def on_cpu(manager: LoRAModelManager) -> bool:
    """Return whether a manager's slots are those of a CPU."""
    return torch.device(manager.device).type == "cpu"


def _read(manager: WorkerLoRAManager, request: Any) -> tuple[LoRAModel, float]:
    """Return what vLLM reads of an adapter, and what B is still to be multiplied by.

    On a CPU the tensors are the file's own, mapped into memory: the layout converts and scales them
    on the way, where vLLM would make a copy for each.
    """
    if not on_cpu(manager._adapter_manager):
        return _read_adapter(manager, request), 1.0

    as_stored = copy(manager)
    as_stored.lora_config = copy(manager.lora_config)
    as_stored.lora_config.lora_dtype = None
    model: LoRAModel = _read_adapter(as_stored, request)

    return model, _take_scaling(model, manager.lora_config.lora_dtype)


def _take_scaling(model: LoRAModel, dtype: torch.dtype) -> float:
    """Return the scaling that all modules of an adapter share, and take it from each of them.

    1 where they differ: then vLLM scales each B itself, in the engine's type.
    """
    modules = model.loras.values()
    scalings = {module.scaling for module in modules}
    if len(scalings) != 1:
        for module in modules:
            module.lora_b = module.lora_b.to(dtype, copy=True)
        return 1.0

    for module in modules:
        module.scaling = 1
    return float(scalings.pop())


def _lay_out(
    manager: LoRAModelManager,
    model: LoRAModel,
    factors: dict[str, Any],
    scaling: float,
    rest: Callable[[], None],
) -> bool:
    """Replace the tensors by their final layout, to which the slots refer; return whether all of
    them have one.
    """
    from lorabay.vllm_plugin.lora_layers import module_factors
    from lorabay.vllm_plugin.weight_copies import WeightCopies
    from lorabay.vllm_plugin.weight_layout import layout_for
    from lorabay.vllm_plugin.weight_memory import WeightMemory

    dtype = manager.lora_config.lora_dtype
    found: list[tuple[Any, ModuleFactors]] = []
    is_whole = True
    for name, layer in manager.modules.items():
        weights = manager._get_lora_layer_weights(model, name)
        if weights is None:
            continue

        own = module_factors(layer, weights.lora_a, weights.lora_b, factors.get(name))
        if own is None:
            _convert(weights, dtype, scaling)
            is_whole = False
        else:
            found.append((weights, own))
        rest()

    shapes = [shape for _, own in found for shape in own.shapes]
    memory = WeightMemory(shapes, dtype)
    copies = WeightCopies(layout_for(dtype), dtype)
    for weights, own in found:
        weights.lora_a = own.place(memory.zeros, copies, scaling=scaling)
        weights.lora_b = None
        rest()
    copies.make(rest)
    return is_whole


def _convert(weights: Any, dtype: torch.dtype, scaling: float) -> None:
    """Bring the tensors of a module that vLLM keeps in its own form into the engine's type."""
    if isinstance(weights.lora_a, list):
        weights.lora_a = [a if a is None else a.to(dtype) for a in weights.lora_a]
        weights.lora_b = [b if b is None else b.to(dtype) * scaling for b in weights.lora_b]
    else:
        weights.lora_a = weights.lora_a.to(dtype)
        weights.lora_b = weights.lora_b.to(dtype) * scaling

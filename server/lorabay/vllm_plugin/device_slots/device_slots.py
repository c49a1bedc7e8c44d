"""The slots of one worker's device: how adapters are laid out for them, and get into them.

    staging thread             engine's loop                    device, beside the steps
    lay_out(model) -> block    activate(model): mark steps      copy the block to the device
                                                                wait for the mark
                                                                change the slot, and mark that
                               use(slots): hold the coming
                               steps until they are written

So a load neither waits for a step nor makes one wait that does not use it. Knows nothing of which
adapter gets a slot, or whose.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from vllm.lora import lora_model, model_manager
from vllm.lora.layers import BaseLayerWithLoRA
from vllm.lora.lora_model import LoRAModel
from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

from lorabay.vllm_plugin.device_slots.adapter_blocks import AdapterBlock, lay_out
from lorabay.vllm_plugin.device_slots.host_arena import HostArena
from lorabay.vllm_plugin.device_slots.slot_stacks import SlotStacks, parts_of
from lorabay.vllm_plugin.device_slots.slot_writer import SlotWriter
from lorabay.vllm_plugin.device_slots.timelines import Mark, Timeline, timeline_of
from lorabay.vllm_plugin.scaled_outputs import put_scales

ARENA_BYTES = 1 << 30
"""Most of the host's memory that is pinned with the engine, and each time that it is full. The
server chooses how many adapters it may hold in all (`max_cpu_loras`)."""

Activate = Callable[[LoRAModelManager, int], bool]
"""vLLM's own way of giving an adapter a slot, which also keeps vLLM's tables."""

_create_lora_manager = LRUCacheWorkerLoRAManager.create_lora_manager


def install() -> None:
    """Give each manager that vLLM makes from now on its slots; idempotent."""
    LRUCacheWorkerLoRAManager.create_lora_manager = _create
    # It would pin each tensor by itself, before and after it packs them.
    lora_model.PIN_MEMORY = model_manager.PIN_MEMORY = False


def slots_of(manager: LoRAModelManager) -> DeviceSlots | None:
    """Return the slots of a manager; None for one without, such as that of a CPU."""
    return getattr(manager, "device_slots", None)


def _create(manager: LRUCacheWorkerLoRAManager, model: Any, vllm_config: Any) -> Any:
    adapted = _create_lora_manager(manager, model, vllm_config)
    adapters = manager._adapter_manager
    stacks = SlotStacks.of(adapters.modules, adapters.lora_config.lora_dtype)
    if stacks.stacks:
        adapters.device_slots = DeviceSlots(stacks, adapters.modules, adapters.capacity)
    return adapted


class DeviceSlots:
    """The slots of `layers`, which consist of `stacks`, for at most `capacity` adapters in the
    host's memory.
    """

    def __init__(
        self,
        stacks: SlotStacks,
        layers: Mapping[str, BaseLayerWithLoRA],
        capacity: int,
        *,
        timeline: Timeline | None = None,
    ) -> None:
        device = stacks.stacks[0].tensor.device
        self._stacks = stacks
        self._scaled = {
            name: layer for name, layer in layers.items() if hasattr(layer, "output_factors")
        }
        self._pinned = device.type == "cuda"
        self._timeline = timeline or timeline_of(device)
        self._writer = SlotWriter(stacks.stacks)
        arena_bytes = min(ARENA_BYTES, capacity * stacks.slot_bytes())
        self._arena = HostArena(arena_bytes, pinned=self._pinned)
        self._written: dict[int, Mark] = {}
        """Behind the writing of each slot that no step has used since."""

    def lay_out(self, manager: LoRAModelManager, model: LoRAModel) -> bool:
        """Give an adapter that vLLM has packed its block, in place of its tensors; return whether
        nothing is left to vLLM.

        May run beside a step. Raises what vLLM's layers raise for tensors that do not fit.
        """
        parts: dict[int, torch.Tensor] = {}
        rank = 1
        for name, places in self._stacks.places.items():
            weights = manager._get_lora_layer_weights(model, name)
            if weights is None:
                continue
            own = parts_of(manager.modules[name], weights.lora_a, weights.lora_b)
            parts.update(zip(places, own, strict=True))
            rank = max(rank, _rank(weights.lora_a))
            # The former tensors go at once.
            weights.lora_a = weights.lora_b = None

        model.block = lay_out(
            self._stacks.stacks,
            parts,
            rank,
            segment_values=self._writer.segment_values,
            arena=self._arena,
        )

        rest = [
            weights
            for name in self._stacks.left_to_vllm
            if (weights := manager._get_lora_layer_weights(model, name)) is not None
        ]
        if self._pinned:
            _pin(rest, model.modules_to_save.values())
        return not rest and not model.modules_to_save

    def activate(self, manager: LoRAModelManager, lora_id: int, activate: Activate) -> bool:
        """Put an adapter into a free slot; return whether it was not in one.

        `activate` is left the modules that have no stacks here. Raises ValueError if no slot is
        free.
        """
        if lora_id in manager._active_adapters:
            return False
        if None not in manager.lora_index_to_id:
            raise ValueError("No free lora slots")

        slot = manager.lora_index_to_id.index(None)
        model = manager.get_adapter(lora_id)
        block: AdapterBlock | None = getattr(model, "block", None)
        if block is None:
            # Nobody laid it out: one of vLLM's dummies, which go into slots between steps.
            self.use(range(manager.lora_slots))
            activate(manager, lora_id)
            put_scales(self._scaled, slot, {})
            return True

        rest = copy.copy(manager)
        rest.modules = self._stacks.left_to_vllm
        steps = self._timeline.mark_steps()
        with self._timeline.beside():
            self._writer.write(slot, block, partial(self._timeline.follow, steps))
            activate(rest, lora_id)
            put_scales(self._scaled, slot, getattr(model, "output_scales", {}))

        written = self._timeline.mark_beside()
        block.read_until(written)
        self._written[slot] = written
        return True

    def use(self, slots: Iterable[int]) -> None:
        """Let the coming step find these slots written."""
        for slot in slots:
            written = self._written.pop(slot, None)
            if written is not None and not written.query():
                self._timeline.hold_steps(written)


def _rank(a: Any) -> int:
    """Return the rank of a module's A; the highest, of those of a packed module."""
    if isinstance(a, torch.Tensor):
        return int(a.shape[-2])
    return max((int(part.shape[-2]) for part in a if part is not None), default=0)


def _pin(rest: Iterable[Any], whole: Iterable[Any]) -> None:
    """Pin what vLLM itself copies to the device: weights of modules, and whole modules."""
    for weights in rest:
        weights.lora_a, weights.lora_b = _pinned(weights.lora_a), _pinned(weights.lora_b)
    for full in whole:
        full.pin_memory()


def _pinned(weights: Any) -> Any:
    if isinstance(weights, list):
        return [None if part is None else part.pin_memory() for part in weights]
    return weights.pin_memory()

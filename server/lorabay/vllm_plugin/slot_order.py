"""Which adapters have the slots: those of the batch, and else those that are used most.

vLLM gives an adapter a slot when it is loaded, in place of whichever was asked for longest ago, and
goes through a batch in any order. With all slots in use, one load so took the slot of a running
adapter, that one another's, and so on: every running adapter was copied again. And for each adapter
of a batch vLLM lists all adapters in memory, in every step. Here

- a load takes a slot only if one is free, and otherwise waits until a batch needs it;
- a batch first notes what has its slot, and takes the slots of adapters that are not in it;
- of these, those that are pinned give way last, those that are used least first.

Works on every device.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
from vllm.utils.gpu_sync_debug import gpu_sync_allowed

from lorabay.vllm_plugin.pace import steps
from lorabay.vllm_plugin.slot_popularity import SlotPopularity

vllm_apply = LRUCacheWorkerLoRAManager._apply_adapters
vllm_add = LRUCacheWorkerLoRAManager.add_adapter


@dataclass(slots=True)
class SlotUse:
    """What one manager's slots are used for: by the present batch, by pins, and how much lately."""

    batch: Collection[int] = frozenset()
    pinned: Collection[int] = frozenset()
    popularity: SlotPopularity = field(default_factory=SlotPopularity)

    def victim(self, held: Iterable[int]) -> int:
        """Return which of the adapters that hold slots gives its slot up.

        `held` are all of them, the one that was used longest ago first; that one goes among equals.
        """
        return min(
            held,
            key=lambda lora_id: (
                lora_id in self.batch,
                lora_id in self.pinned,
                self.popularity.of(lora_id),
            ),
        )


def install() -> None:
    """Replace methods of vLLM's manager; idempotent."""
    LRUCacheWorkerLoRAManager._apply_adapters = apply
    LRUCacheWorkerLoRAManager.add_adapter = add


def use_of(adapters: LoRAModelManager) -> SlotUse:
    """Return what the slots of a manager are used for."""
    use: SlotUse = adapters.__dict__.setdefault("slot_use", SlotUse())
    return use


def apply(manager: LRUCacheWorkerLoRAManager, requests: Iterable[Any]) -> None:
    """Give every adapter of a batch a slot, and take none from another one of the batch."""
    steps.note()
    adapters = manager._adapter_manager
    wanted = {request.lora_int_id: request for request in requests if request}
    if len(wanted) > adapters.lora_slots:
        # vLLM's error, in its words.
        vllm_apply(manager, wanted.values())

    use = use_of(adapters)
    use.batch = wanted.keys()
    use.popularity.step(wanted)

    missing: list[Any] = []
    for lora_id, request in wanted.items():
        # Also what has no slot: it must not leave the memory for another one of the batch.
        _touch(adapters, lora_id)
        if lora_id not in adapters._active_adapters or request.load_inplace:
            missing.append(request)

    with gpu_sync_allowed():
        for request in missing:
            if _must_load(adapters, request):
                _load(manager, request)
            _make_room(adapters)
            adapters.activate_adapter(request.lora_int_id)

    device_slots = getattr(adapters, "device_slots", None)
    if device_slots is not None:
        holders = enumerate(adapters.lora_index_to_id)
        device_slots.use(slot for slot, lora_id in holders if lora_id in wanted)


def add(manager: LRUCacheWorkerLoRAManager, request: Any) -> bool:
    """Load an adapter if need be, and give it a slot if one is free; return whether it is loaded.

    One that cannot be sure to fit into a slot gets one in any case: if it fails, then now, and not
    in a step.
    """
    adapters = manager._adapter_manager
    lora_id = request.lora_int_id
    _touch(adapters, lora_id)
    if lora_id in adapters._active_adapters and not request.load_inplace:
        return True

    with gpu_sync_allowed():
        loaded, surely_fits = True, True
        if _must_load(adapters, request):
            loaded, surely_fits = _load(manager, request)

        if not surely_fits:
            _make_room(adapters)
        if _has_free_slot(adapters):
            adapters.activate_adapter(lora_id)
    return loaded


def pin(manager: LRUCacheWorkerLoRAManager, lora_ids: Iterable[int]) -> None:
    """Let these adapters give up their slots last, and take free ones now.

    Only those that are loaded, and one less than there are slots: others must be served, too.
    """
    adapters = manager._adapter_manager
    loaded = [lora_id for lora_id in lora_ids if lora_id in adapters._registered_adapters]
    pinned = loaded[: adapters.lora_slots - 1]

    use_of(adapters).pinned = frozenset(pinned)
    for lora_id in pinned:
        if lora_id not in adapters._active_adapters and _has_free_slot(adapters):
            adapters.activate_adapter(lora_id)


def _touch(adapters: LoRAModelManager, lora_id: int) -> None:
    """Note the use of an adapter, wherever it is."""
    adapters._active_adapters.touch(lora_id)
    adapters._registered_adapters.touch(lora_id)


def _must_load(adapters: LoRAModelManager, request: Any) -> bool:
    """Return whether an adapter is not in memory, or shall be read anew."""
    return request.load_inplace or request.lora_int_id not in adapters._registered_adapters


def _load(manager: LRUCacheWorkerLoRAManager, request: Any) -> tuple[bool, bool]:
    """Enter an adapter into vLLM's table, as vLLM does it; return whether it was not there, and
    whether it surely fits into a slot.
    """
    adapters = manager._adapter_manager
    # First of all: a bad one must not cost another one its place.
    model = manager._load_adapter(request)
    adapters.remove_adapter(model.id)
    if len(adapters) + 1 > adapters.capacity:
        adapters.remove_oldest_adapter()
    return adapters.add_adapter(model), getattr(model, "surely_fits", False)


def _has_free_slot(adapters: LoRAModelManager) -> bool:
    return len(adapters._active_adapters) < int(adapters.lora_slots)


def _make_room(adapters: LoRAModelManager) -> None:
    """Take the slot of another adapter if all are in use."""
    if not _has_free_slot(adapters):
        victim = use_of(adapters).victim(adapters._active_adapters.order)
        # As vLLM does it: what leaves the table also leaves its slot.
        adapters._active_adapters.pop(victim)

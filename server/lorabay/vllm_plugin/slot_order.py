"""The order in which a batch's adapters ask for their slots: those that have one come first.

vLLM goes through them in any order, and an adapter without a slot takes that of whoever was asked
for longest ago. That may be one of the same batch whose turn is still to come, which then takes
another's, and so on: with all slots in use, one new adapter made vLLM copy every running one. And
it lists all adapters in memory for each of them, in every step. Works on every device.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

_apply_adapters = LRUCacheWorkerLoRAManager._apply_adapters
_add_adapter = LRUCacheWorkerLoRAManager.add_adapter


def install() -> None:
    """Replace methods of vLLM's manager; idempotent."""
    LRUCacheWorkerLoRAManager._apply_adapters = apply
    LRUCacheWorkerLoRAManager.add_adapter = add


def apply(manager: LRUCacheWorkerLoRAManager, requests: Iterable[Any]) -> None:
    """Give every adapter of a batch a slot, and take none from another one of the batch."""
    slots = manager._adapter_manager._active_adapters
    wanted = [request for request in requests if request]
    # What has a slot is only noted as used, so that what has none finds another victim.
    wanted.sort(key=lambda request: request.lora_int_id not in slots)
    _apply_adapters(manager, wanted)


def add(manager: LRUCacheWorkerLoRAManager, request: Any) -> bool:
    """Load an adapter if need be, and give it a slot; note the use of one that has its slot."""
    adapters = manager._adapter_manager
    lora_id = request.lora_int_id
    if lora_id not in adapters._active_adapters or request.load_inplace:
        added: bool = _add_adapter(manager, request)
        return added

    adapters._active_adapters.touch(lora_id)
    return adapters.get_adapter(lora_id) is not None

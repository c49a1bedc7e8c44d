"""Remote calls of the server to vLLM's worker: load an adapter, ask which adapters are in slots and
how far the base's compilation is.

vLLM mixes `StagingWorker` into its worker (`worker_extension_cls`). An adapter is read, checked and
laid out beside the engine's loop, so that what is left of the load takes next to no time on it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from lorabay.vllm_plugin import staged_loads, supported
from lorabay.vllm_plugin.pace import Pace, steps, without_rest


class StagingWorker:
    """Methods added to vLLM's worker."""

    def load_adapter(self, name: str, engine_id: int, path: str) -> tuple[str, str] | None:
        """Load an adapter; return the outcome and the reason, or None while it is being staged.

        The first call begins that, and one that comes after its end takes the adapter in. So a load
        costs the engine's loop two short calls, and whoever asks no more often than it has to. See
        `load_outcomes`. A vLLM that this plugin does not support loads here and now.
        """
        from vllm.lora.request import LoRARequest

        from lorabay.vllm_plugin.load_outcomes import outcome_of

        request = LoRARequest(name, engine_id, path)
        if supported() and not self._is_staged(request):
            return None
        return outcome_of(lambda: self.add_lora(request))  # type: ignore[attr-defined]

    def _is_staged(self, request: Any) -> bool:
        """Return whether a load would not wait; else begin to stage the adapter, if nobody has."""
        from lorabay.vllm_plugin import adapter_loading

        adapter_loading.install()
        manager = self.model_runner.lora_manager  # type: ignore[attr-defined]
        engine_id = request.lora_int_id
        if engine_id in manager._adapter_manager._registered_adapters:
            return True

        if staged_loads.is_done(engine_id):
            return True
        staged_loads.start(engine_id, partial(_prepare, manager, request))
        return False

    def adapters_in_slots(self, pinned: list[int]) -> list[int]:
        """Return vLLM's ids of the adapters that are in the device's slots.

        From now on those that are `pinned` give their slots up last; see `slot_order.pin`.
        """
        manager = self.model_runner.lora_manager  # type: ignore[attr-defined]
        if supported():
            from lorabay.vllm_plugin import slot_order

            slot_order.pin(manager, pinned)

        slots = manager._adapter_manager.lora_index_to_id
        return [number for number in slots if number is not None]

    def advance_compilation(self) -> tuple[str, int | None, str]:
        """Take up the base's compiled code, if a helper has made it; return how far that is.

        See `compile_beside.advance`.
        """
        from lorabay.vllm_plugin import compile_beside

        return compile_beside.advance()


def _prepare(manager: Any, request: Any) -> Any:
    """Prepare an adapter in the staging thread.

    Steps on the same cores leave their pace to it; those of a GPU do not feel it.
    """
    from vllm.platforms import current_platform

    from lorabay.vllm_plugin import adapter_loading

    rest = Pace(steps).rest if current_platform.is_cpu() else without_rest
    return adapter_loading.prepare(manager, request, rest)

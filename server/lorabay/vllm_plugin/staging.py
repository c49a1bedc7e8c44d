"""Remote calls of the server to vLLM's worker: stage an adapter, ask whether it is staged, load it,
ask which adapters are in slots, and how far the base's compilation is.

vLLM mixes `StagingWorker` into its worker (`worker_extension_cls`). A staged adapter is read,
checked and laid out beside the engine's loop, so that the load itself takes no time on it.
"""

from __future__ import annotations

from functools import partial

from lorabay.vllm_plugin import staged_loads, supported


class StagingWorker:
    """Methods added to vLLM's worker."""

    def stage_adapter(self, name: str, engine_id: int, path: str) -> None:
        """Start to load an adapter, and return at once.

        Nothing happens if a load is under way or the adapter is loaded. A vLLM that this plugin
        does not support loads by itself when the adapter is added.
        """
        if not supported():
            return

        from vllm.lora.request import LoRARequest

        from lorabay.vllm_plugin import adapter_loading

        adapter_loading.install()
        manager = self.model_runner.lora_manager  # type: ignore[attr-defined]
        if engine_id in manager._adapter_manager._registered_adapters:
            return

        request = LoRARequest(name, engine_id, path)
        staged_loads.start(engine_id, partial(adapter_loading.prepare, manager, request))

    def adapter_is_staged(self, engine_id: int) -> bool:
        """Return whether a load of this adapter would not wait; true also if none is staged."""
        return staged_loads.is_done(engine_id)

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

    def load_adapter(self, name: str, engine_id: int, path: str) -> tuple[str, str]:
        """Load an adapter, from where it is staged if it is; return the outcome and the reason.

        See `load_outcomes`.
        """
        from vllm.lora.request import LoRARequest

        from lorabay.vllm_plugin.load_outcomes import outcome_of

        request = LoRARequest(name, engine_id, path)
        return outcome_of(lambda: self.add_lora(request))  # type: ignore[attr-defined]

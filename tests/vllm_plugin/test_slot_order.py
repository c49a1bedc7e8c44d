"""Which adapters leave their slots for a batch, by vLLM's own managers over toy adapters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st
from vllm.lora.model_manager import AdapterLRUCache, LRUCacheLoRAModelManager
from vllm.lora.request import LoRARequest
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

from lorabay.vllm_plugin import slot_order


class CountingAdapters(LRUCacheLoRAModelManager):  # type: ignore[misc]
    """vLLM's manager without a model; counts what it copies into slots, and how often it lists."""

    def __init__(self, slots: int, memory: int) -> None:
        self.lora_config = SimpleNamespace(max_loras=slots, max_cpu_loras=memory)
        self.lora_index_to_id = [None] * slots
        self.modules = {}
        self._registered_adapters = AdapterLRUCache(memory, self.deactivate_adapter)
        self._active_adapters = AdapterLRUCache(slots, self._deactivate_adapter)
        self.copies: list[int] = []
        self.listed = 0

    def activate_adapter(self, lora_id: int) -> bool:
        copied: bool = super().activate_adapter(lora_id)
        if copied:
            self.copies.append(lora_id)
        return copied

    def list_adapters(self) -> dict[int, Any]:
        self.listed += 1
        adapters: dict[int, Any] = super().list_adapters()
        return adapters

    def _add_adapter(self, lora: Any) -> None:
        self._registered_adapters[lora.id] = lora


class Worker(LRUCacheWorkerLoRAManager):  # type: ignore[misc]
    """vLLM's manager of one worker, whose adapters need no files."""

    def __init__(self, slots: int, memory: int = 100) -> None:
        self._adapter_manager = CountingAdapters(slots, memory)

    @property
    def adapters(self) -> CountingAdapters:
        manager = self._adapter_manager
        assert isinstance(manager, CountingAdapters)
        return manager

    def _load_adapter(self, lora_request: Any) -> Any:
        return SimpleNamespace(id=lora_request.lora_int_id)

    def step(self, *ids: int) -> list[int]:
        """Prepare a batch; return the adapters that were copied into slots for it."""
        del self.adapters.copies[:]
        self._apply_adapters([request(number) for number in ids])
        return list(self.adapters.copies)


def request(number: int) -> LoRARequest:
    return LoRARequest(f"a@{number}", number, "/store/a")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_apply_adapters", "add_adapter"):
        stock = getattr(LRUCacheWorkerLoRAManager, name)
        monkeypatch.setattr(LRUCacheWorkerLoRAManager, name, stock)
    slot_order.install()
    slot_order.install()


def test_a_new_adapter_takes_one_slot() -> None:
    """With every slot in use by a batch, one that is not in it any more gives way, and only that
    one; whatever the order of the requests.
    """
    worker = Worker(slots=8)
    worker.step(*range(1, 9))
    assert worker.step(9, 8, 7, 6, 5, 4, 3, 2) == [9]
    assert worker.step(2, 3, 4, 5, 6, 7, 8, 9) == []


def test_a_load_beside_a_full_batch_costs_two_copies() -> None:
    """Its own, and that of the adapter whose slot it took, for the next step."""
    worker = Worker(slots=4)
    worker.step(1, 2, 3, 4)
    worker.add_adapter(request(5))
    assert worker.step(4, 3, 2, 1) == [1]


def test_a_step_lists_no_adapters() -> None:
    """However many are in memory: what is in its slot is only noted as used."""
    worker = Worker(slots=4)
    worker.step(1, 2, 3, 4)
    worker.adapters.listed = 0
    worker.step(4, 1, 2)
    assert worker.adapters.listed == 0


def test_more_adapters_than_slots_are_vllms_error() -> None:
    with pytest.raises(RuntimeError, match="greater than the number of GPU LoRA slots"):
        Worker(slots=2).step(1, 2, 3)


def test_what_is_used_stays_in_memory() -> None:
    """The adapter that was used longest ago leaves, as vLLM has it."""
    worker = Worker(slots=2, memory=3)
    for batch in ((1,), (2,), (3,), (1,)):
        worker.step(*batch)
    worker.step(4)
    assert set(worker.adapters._registered_adapters) == {3, 1, 4}


@given(
    batches=st.lists(st.sets(st.integers(1, 12), min_size=1, max_size=4), max_size=20),
    loads=st.lists(st.integers(1, 12), max_size=20),
)
def test_no_batch_takes_a_slot_from_itself(batches: list[set[int]], loads: list[int]) -> None:
    """Each batch has its adapters in slots, and copied those that had none, each once."""
    worker = Worker(slots=4, memory=6)
    for number, batch in enumerate(batches):
        if number < len(loads):
            worker.add_adapter(request(loads[number]))
        before = set(worker.adapters._active_adapters)
        copied = worker.step(*batch)
        assert sorted(copied) == sorted(batch - before)
        assert batch <= set(worker.adapters._active_adapters)

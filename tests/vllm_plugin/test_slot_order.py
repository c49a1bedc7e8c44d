"""Which adapters leave their slots for a batch, by vLLM's own managers over toy adapters."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

from lorabay.vllm_plugin import slot_order
from lorabay.vllm_plugin.slot_costs import OURS, CountingWorker, request
from lorabay.vllm_plugin.slot_order import SlotUse
from lorabay.vllm_plugin.slot_popularity import SlotPopularity


def worker_with(*, slots: int, memory: int = 100) -> CountingWorker:
    """vLLM's manager of a worker, with our order."""
    return CountingWorker(OURS, slots, memory)


def test_it_takes_the_place_of_vllms(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_apply_adapters", "add_adapter"):
        stock = getattr(LRUCacheWorkerLoRAManager, name)
        monkeypatch.setattr(LRUCacheWorkerLoRAManager, name, stock)
    slot_order.install()
    slot_order.install()
    assert LRUCacheWorkerLoRAManager._apply_adapters is slot_order.apply
    assert LRUCacheWorkerLoRAManager.add_adapter is slot_order.add


def test_a_new_adapter_takes_one_slot() -> None:
    """With every slot in use by a batch, one that is not in it any more gives way, and only that
    one; whatever the order of the requests.
    """
    worker = worker_with(slots=8)
    worker.step(*range(1, 9))
    assert worker.step(9, 8, 7, 6, 5, 4, 3, 2) == [9]
    assert worker.step(2, 3, 4, 5, 6, 7, 8, 9) == []


def test_a_load_beside_a_full_batch_costs_one_copy() -> None:
    """Its own, when a batch needs it: until then every running adapter keeps its slot."""
    worker = worker_with(slots=4)
    worker.step(1, 2, 3, 4)
    assert worker.add_adapter(request(5))
    assert worker.step(4, 3, 2, 1) == []
    assert worker.step(4, 3, 2, 5) == [5]


def test_a_load_takes_a_free_slot() -> None:
    """So that the first step with it has nothing to wait for."""
    worker = worker_with(slots=2)
    worker.add_adapter(request(1))
    assert worker.step(1) == []


def test_an_adapter_that_may_not_fit_is_tried_at_once() -> None:
    """If it fails, the load fails, and not a step; the slot is one that no batch uses."""
    worker = worker_with(slots=3)
    worker.step(3, 1)
    worker.step(1, 2)
    worker.surely_fit = False
    worker.add_adapter(request(5))
    assert set(worker.adapters._active_adapters) == {1, 2, 5}


def test_a_load_again_changes_nothing() -> None:
    """Of one that has its slot, and of one that waits for one."""
    worker = worker_with(slots=1)
    for _ in range(2):
        worker.add_adapter(request(1))
        worker.add_adapter(request(2))
    assert worker.adapters.copies == [1]
    assert set(worker.adapters._registered_adapters) == {1, 2}


def test_the_least_used_gives_way() -> None:
    """Not the one that was used longest ago, unless they are equal; then pins, then the batch."""
    now = 0.0
    use = SlotUse(batch={4}, pinned={3}, popularity=SlotPopularity(lambda: now))
    for lora_id in (1, 1, 2, 3, 4):
        use.popularity.step({lora_id})
        use.popularity.step(())
    assert use.victim([1, 2, 3, 4]) == 2
    assert use.victim([1, 3, 4]) == 1
    assert use.victim([3, 4]) == 3
    assert use.victim([6, 7]) == 6


def test_a_pinned_adapter_keeps_its_slot() -> None:
    """As long as others find one: a batch that needs every slot gets it."""
    worker = worker_with(slots=3)
    worker.step(1)
    slot_order.pin(worker, [1])
    for batch in ((2, 3), (4, 5), (6, 2)):
        worker.step(*batch)
        assert 1 in worker.adapters._active_adapters
    worker.step(2, 3, 4)
    assert set(worker.adapters._active_adapters) == {2, 3, 4}


def test_pins_leave_a_slot_for_others() -> None:
    """The first of those that are loaded are kept, and take free slots at once."""
    worker = worker_with(slots=3)
    worker.step(5)
    for lora_id in (1, 2, 3):
        worker.adapters._add_adapter(worker._load_adapter(request(lora_id)))
    slot_order.pin(worker, [9, 1, 2, 3])
    assert set(worker.adapters._active_adapters) == {5, 1, 2}
    worker.step(3)
    assert set(worker.adapters._active_adapters) == {3, 1, 2}
    slot_order.pin(worker, [])
    worker.step(5)
    worker.step(6)
    assert len({1, 2} & set(worker.adapters._active_adapters)) < 2


def test_a_step_lists_no_adapters() -> None:
    """However many are in memory: what is in its slot is only noted as used."""
    worker = worker_with(slots=4)
    worker.step(1, 2, 3, 4)
    worker.adapters.listed = 0
    worker.step(4, 1, 2)
    assert worker.adapters.listed == 0


def test_more_adapters_than_slots_are_vllms_error() -> None:
    with pytest.raises(RuntimeError, match="greater than the number of GPU LoRA slots"):
        worker_with(slots=2).step(1, 2, 3)


def test_what_is_used_stays_in_memory() -> None:
    """The adapter that was used longest ago leaves, as vLLM has it."""
    worker = worker_with(slots=2, memory=3)
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
    worker = worker_with(slots=4, memory=6)
    for number, batch in enumerate(batches):
        if number < len(loads):
            worker.add_adapter(request(loads[number]))
        before = set(worker.adapters._active_adapters)
        copied = worker.step(*batch)
        assert sorted(copied) == sorted(batch - before)
        assert batch <= set(worker.adapters._active_adapters)

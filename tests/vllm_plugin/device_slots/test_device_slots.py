"""Adapters that get into slots as blocks, by vLLM's own manager and layers."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from vllm.lora import lora_model
from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.request import LoRARequest
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

from lorabay.vllm_plugin import adapter_loading, slot_order
from lorabay.vllm_plugin.device_slots import device_slots
from lorabay.vllm_plugin.device_slots.device_slots import DeviceSlots, slots_of
from lorabay.vllm_plugin.device_slots.slot_stacks import SlotStacks
from tests.examples import examples
from tests.vllm_plugin import stock
from tests.vllm_plugin.device_slots.toys import (
    LAYERS,
    RANK,
    SLOTS,
    ToyManager,
    ToyWorker,
    fill_with_rubbish,
    lora_config,
    make_adapter,
    make_layers,
    slot_bytes,
)

stock_activate = adapter_loading._activate_adapter


@pytest.fixture(scope="module")
def module_patch() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(autouse=True, scope="module")
def stock_layers(one_rank: None, module_patch: pytest.MonkeyPatch) -> None:
    stock.restore(module_patch)


def manager_of(layers: dict[str, Any]) -> ToyManager:
    return ToyManager(layers, lora_config())


def with_slots(manager: ToyManager, **options: Any) -> DeviceSlots:
    stacks = SlotStacks.of(manager.modules, manager.lora_config.lora_dtype)
    manager.device_slots = DeviceSlots(stacks, manager.modules, 20, **options)
    slots = slots_of(manager)
    assert slots is not None
    return slots


def put(manager: ToyManager, slots: DeviceSlots, model: Any) -> int:
    """Lay an adapter out, enter it, and give it a slot; return which."""
    manager._create_merged_loras_inplace(model)
    assert slots.lay_out(manager, model)
    manager._registered_adapters[model.id] = model
    assert slots.activate(manager, model.id, stock_activate)
    return manager.lora_index_to_id.index(model.id)


def stock_bytes(layers: dict[str, Any], model: Any) -> dict[str, list[torch.Tensor]]:
    """What vLLM's own way leaves in slot 0."""
    manager = manager_of(layers)
    manager._create_merged_loras_inplace(model)
    manager._registered_adapters[model.id] = model
    assert stock_activate(manager, model.id)
    return slot_bytes(layers, 0)


def assert_same(left: dict[str, list[torch.Tensor]], right: dict[str, list[torch.Tensor]]) -> None:
    assert left.keys() == right.keys()
    for name, stacks in left.items():
        for one, other in zip(stacks, right[name], strict=True):
            assert torch.equal(one, other), name


@pytest.fixture(scope="module")
def layers(stock_layers: None) -> dict[str, Any]:
    return make_layers(lora_config(), copies=2)


@given(
    rank=st.integers(1, RANK),
    touched=st.sets(st.sampled_from(sorted(LAYERS)), min_size=1),
    without=st.sets(st.sampled_from(["k_proj", "up_proj"])),
    segment=st.integers(1, 3000),
)
@settings(max_examples=examples(40), deadline=None)
def test_a_slot_holds_what_vllm_would_have_put_there(
    layers: dict[str, Any], rank: int, touched: set[str], without: set[str], segment: int
) -> None:
    """To the bit: for every kind of layer, any rank, modules that are not adapted, and blocks of
    many segments, over whatever was in the slot before.
    """
    names = [name for name in layers if name.rpartition(".")[2] in touched]
    model = make_adapter(7, names, rank=rank, without=sorted(without))
    if not model.loras:
        return
    fill_with_rubbish(layers)
    expected = stock_bytes(layers, copy.deepcopy(model))

    fill_with_rubbish(layers)
    manager = manager_of(layers)
    slots = with_slots(manager)
    largest = max(rows * columns for rows, columns in map(_shape, slots._stacks.stacks))
    slots._writer.segment_values = min(slots._writer.segment_values, largest + segment)
    slot = put(manager, slots, model)
    assert_same(slot_bytes(layers, slot), expected)


def _shape(stack: Any) -> tuple[int, int]:
    shape: tuple[int, int] = stack.shape
    return shape


def test_a_rank_of_several_gets_its_part_alone(layers: dict[str, Any]) -> None:
    """Cut as vLLM cuts it: half of A where a layer has half of the inputs, half of B where it has
    half of the outputs. The block has no byte of the other rank's.
    """
    mine = {name: layers[f"layers.0.{name}"] for name in ("o_proj", "gate_up_proj", "column")}
    parts: dict[str, Any] = {f"layers.0.{name}": copy.copy(layer) for name, layer in mine.items()}
    for layer in parts.values():
        layer.tp_size, layer.tp_rank = 2, 1
        layer.output_ids = (1, 1)
    model = make_adapter(7, list(parts), rank=RANK)
    for module, weights in model.loras.items():
        if module.endswith("o_proj"):
            weights.lora_a = torch.cat([weights.lora_a, weights.lora_a + 1], dim=1)
        else:
            weights.lora_b = torch.cat([weights.lora_b, weights.lora_b + 1])

    fill_with_rubbish(parts)
    expected = stock_bytes(parts, copy.deepcopy(model))
    fill_with_rubbish(parts)
    manager = manager_of(parts)
    slots = with_slots(manager)
    slot = put(manager, slots, model)
    assert_same(slot_bytes(parts, slot), expected)
    assert model.block.values.nbytes == slots._stacks.slot_bytes()


def test_an_adapter_of_a_low_rank_takes_its_own_bytes(layers: dict[str, Any]) -> None:
    """In the host's memory and on the way to the device; matrices of zeros take none."""
    names = [f"layers.0.{name}" for name in ("qkv_proj", "o_proj")]
    model = make_adapter(7, names, rank=2, without=["k_proj"])
    values = sum(
        weights.lora_a.numel() + weights.lora_b.numel() for weights in model.loras.values()
    )
    manager = manager_of(layers)
    slots = with_slots(manager)
    put(manager, slots, model)
    assert model.block.values.numel() == values


def test_a_tensor_that_does_not_fit_is_found_out_beside_the_loop(layers: dict[str, Any]) -> None:
    """While the adapter is laid out, and not in a step."""
    model = make_adapter(7, list(layers), rank=RANK + 1)
    manager = manager_of(layers)
    slots = with_slots(manager)
    manager._create_merged_loras_inplace(model)
    with pytest.raises(RuntimeError, match="must match"):
        slots.lay_out(manager, model)


def test_what_nobody_laid_out_goes_vllms_way(layers: dict[str, Any]) -> None:
    """vLLM's dummies, with which it warms up."""
    model = make_adapter(7, list(layers))
    expected = stock_bytes(layers, copy.deepcopy(model))
    manager = manager_of(layers)
    slots = with_slots(manager)
    manager._create_merged_loras_inplace(model)
    manager._registered_adapters[7] = model
    assert slots.activate(manager, 7, stock_activate)
    assert not slots.activate(manager, 7, stock_activate)
    assert_same(slot_bytes(layers, 0), expected)


def test_a_full_device_is_an_error(layers: dict[str, Any]) -> None:
    """vLLM's own; a slot is made free before."""
    manager = manager_of(layers)
    slots = with_slots(manager)
    for lora_id in range(1, SLOTS + 1):
        put(manager, slots, make_adapter(lora_id, ["layers.0.gate"]))
    with pytest.raises(ValueError, match="No free lora slots"):
        put(manager, slots, make_adapter(9, ["layers.0.gate"]))


def test_memory_of_adapters_that_are_gone_is_used_again(layers: dict[str, Any]) -> None:
    """However many come and go, no more is pinned."""
    manager = manager_of(layers)
    slots = with_slots(manager)
    before = slots._arena.size
    for lora_id in range(1, 60):
        slots.lay_out(manager, _packed(manager, lora_id, layers))
    assert slots._arena.size == before


def _packed(manager: ToyManager, lora_id: int, layers: dict[str, Any]) -> Any:
    model = make_adapter(lora_id, list(layers))
    manager._create_merged_loras_inplace(model)
    return model


def test_steps_may_be_in_inference_mode_and_loads_not(layers: dict[str, Any]) -> None:
    """A slot that was filled in a step is filled again between steps, and the other way round."""
    manager = manager_of(layers)
    slots = with_slots(manager)
    for lora_id, in_step in ((1, True), (2, False), (3, True), (4, False)):
        with torch.inference_mode(mode=in_step):
            put(manager, slots, make_adapter(lora_id, list(layers)))
            manager.remove_adapter(lora_id)


class Trace:
    """A timeline that notes what it is told; marks are numbers of the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.inside = False

    def _mark(self, what: str) -> Any:
        self.notes.append(what)
        return Mark(len(self.notes) - 1)

    def mark_steps(self) -> Any:
        assert not self.inside
        return self._mark("steps")

    def mark_beside(self) -> Any:
        return self._mark("written")

    @contextmanager
    def beside(self) -> Iterator[None]:
        self.inside = True
        yield
        self.inside = False

    def follow(self, mark: Any) -> None:
        assert self.inside
        self.notes.append(f"follow {mark.number}")

    def hold_steps(self, mark: Any) -> None:
        assert not self.inside
        self.notes.append(f"hold {mark.number}")


@dataclass
class Mark:
    number: int

    def query(self) -> bool:
        return False


def test_a_slot_is_written_behind_the_steps_and_before_the_next_one_that_uses_it(
    layers: dict[str, Any],
) -> None:
    """The copy follows every step that was started; a step that uses others is not held up, and one
    that uses the slot is held once.
    """
    manager = manager_of(layers)
    trace = Trace()
    slots = with_slots(manager, timeline=trace)
    slot = put(manager, slots, make_adapter(1, ["layers.0.gate"]))
    other = put(manager, slots, make_adapter(2, ["layers.0.gate"]))
    assert trace.notes == ["steps", "follow 0", "written", "steps", "follow 3", "written"]

    del trace.notes[:]
    slots.use([])
    assert trace.notes == []
    slots.use([slot])
    slots.use([slot])
    assert trace.notes == ["hold 2"]
    slots.use([slot, other])
    assert trace.notes == ["hold 2", "hold 5"]


def test_memory_is_kept_until_the_device_has_read_it(layers: dict[str, Any]) -> None:
    """An adapter may be forgotten while its copy is still under way."""
    manager = manager_of(layers)
    slots = with_slots(manager, timeline=Trace())
    put(manager, slots, make_adapter(1, list(layers)))
    begun = manager.get_adapter(1).block.values.data_ptr()
    manager.remove_adapter(1)
    gc.collect()
    put(manager, slots, make_adapter(2, list(layers)))
    assert manager.get_adapter(2).block.values.data_ptr() != begun


def test_an_activation_is_a_few_operations(layers: dict[str, Any], figures: list[str]) -> None:
    """Whatever the number of layers, where vLLM has two and more for each matrix."""
    names = list(layers)
    stock_way = manager_of(layers)
    model = make_adapter(7, names)
    stock_way._create_merged_loras_inplace(model)
    stock_way._registered_adapters[7] = model
    with Operations() as by_vllm:
        stock_activate(stock_way, 7)

    manager = manager_of(layers)
    slots = with_slots(manager)
    model = _packed(manager, 7, layers)
    slots.lay_out(manager, model)
    manager._registered_adapters[7] = model
    slots.activate(manager, 7, stock_activate)
    manager.deactivate_adapter(7)
    with Operations() as ours:
        slots.activate(manager, 7, stock_activate)

    figures.append(
        f"one activation, {len(names)} layers: {by_vllm.count} operations on the device by vLLM, "
        f"{ours.count} as a block"
    )
    assert ours.count <= 7


class Operations(TorchDispatchMode):  # type: ignore[misc]
    """Counts what a device would be given to do: views are not."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if any(part in str(function) for part in ("copy_", "fill_", "zero_")):
            self.count += 1
        return function(*args, **(kwargs or {}))


def test_vllm_makes_the_slots_with_its_manager(
    layers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And pins no tensor by itself any more."""
    manager = manager_of(layers)

    def create(self: Any, model: Any, vllm_config: Any) -> Any:
        self._adapter_manager = manager
        return model

    monkeypatch.setattr(device_slots, "_create_lora_manager", create)
    device_slots.install()
    worker: Any = LRUCacheWorkerLoRAManager.__new__(LRUCacheWorkerLoRAManager)
    assert worker.create_lora_manager("model", None) == "model"
    assert slots_of(manager) is not None
    assert not lora_model.PIN_MEMORY


class Play:
    """Loads and steps of one worker over a manager with blocks; `written` are the slots that the
    last step had written.
    """

    def __init__(self, layers: dict[str, Any]) -> None:
        self.manager = manager_of(layers)
        self.slots = with_slots(self.manager)
        folders = {lora_id: partial(self.read, lora_id) for lora_id in IDS}
        self.worker = ToyWorker(self.manager, folders)
        self.written: list[int] = []
        self._write = self.slots._writer.write
        self.slots._writer.write = self.write  # type: ignore[method-assign]

    def read(self, lora_id: int) -> Any:
        model = make_adapter(lora_id, list(self.manager.modules))
        self.manager._create_merged_loras_inplace(model)
        model.surely_fits = self.slots.lay_out(self.manager, model)
        model.is_prepared = True
        return model

    def write(self, slot: int, *rest: Any) -> None:
        self.written.append(slot)
        self._write(slot, *rest)

    @property
    def held(self) -> set[int]:
        return set(self.manager._active_adapters)

    def load(self, ids: set[int]) -> None:
        """Nothing that has a slot loses it."""
        before = self.held
        for lora_id in ids:
            self.worker.add_adapter(request(lora_id))
        assert before <= self.held

    def remove(self, ids: set[int]) -> None:
        for lora_id in ids:
            self.worker.remove_adapter(lora_id)

    def pin(self, ids: set[int]) -> None:
        slot_order.pin(self.worker, sorted(ids))

    def step(self, ids: set[int]) -> None:
        """A batch of as many as there are slots: what was in none is written, each once."""
        batch = set(sorted(ids)[:SLOTS])
        before = self.held
        del self.written[:]
        self.worker._apply_adapters({request(lora_id) for lora_id in batch})
        assert len(self.written) == len(batch - before)
        assert batch <= self.held


IDS = range(1, 7)
MOVES = [Play.load, Play.step, Play.remove, Play.pin]


def test_a_batch_gets_what_it_needs_and_nothing_is_copied_twice(
    layers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is loaded and asked for, in any order: each adapter in a slot is there with all of
    its bytes.
    """
    monkeypatch.setattr(LoRAModelManager, "_add_adapter", adapter_loading.add)
    monkeypatch.setattr(LoRAModelManager, "activate_adapter", adapter_loading.activate)
    slot_order.install()
    small = {name: layers[name] for name in ("layers.0.qkv_proj", "layers.0.gate")}
    expected = {lora_id: stock_bytes(small, make_adapter(lora_id, list(small))) for lora_id in IDS}

    @given(st.lists(st.tuples(st.sampled_from(MOVES), st.sets(st.sampled_from(IDS))), max_size=25))
    @settings(max_examples=examples(40), deadline=None)
    def play(moves: list[tuple[Callable[[Play, set[int]], None], set[int]]]) -> None:
        game = Play(small)
        for move, ids in moves:
            move(game, ids)
            for slot, lora_id in enumerate(game.manager.lora_index_to_id):
                if lora_id is not None:
                    assert_same(slot_bytes(small, slot), expected[lora_id])

    play()


def request(lora_id: int) -> LoRARequest:
    return LoRARequest(f"a@{lora_id}", lora_id, "/store/a")

"""Adapters that get into a GPU's slots as blocks, beside the steps, with vLLM's own layers."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
import torch
from vllm.lora.layers import LoRAMapping
from vllm.lora.punica_wrapper.punica_gpu import PunicaWrapperGPU

from lorabay.vllm_plugin import adapter_loading
from lorabay.vllm_plugin.device_slots.batch_metadata import update_metadata
from lorabay.vllm_plugin.device_slots.device_slots import DeviceSlots, slots_of
from lorabay.vllm_plugin.device_slots.slot_stacks import SlotStacks
from lorabay.vllm_plugin.device_slots.timelines import TwoStreams
from tests.gpu.lora_batch import DTYPE, KINDS, RANK, SLOTS, VOCABULARY, Layer, make_wrapper
from tests.vllm_plugin import stock
from tests.vllm_plugin.device_slots.toys import ToyManager

pytestmark = pytest.mark.usefixtures("one_rank")

LLAMA = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
LAYERS = 8

stock_activate = adapter_loading._activate_adapter
stock_update = PunicaWrapperGPU.update_metadata


@pytest.fixture(autouse=True)
def stock_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    stock.restore(monkeypatch)


@pytest.fixture(scope="module")
def layers(one_rank: None) -> dict[str, Any]:
    wrapper = make_wrapper()
    return {
        f"layers.{number}.{kind}": Layer(kind, wrapper).lora
        for number in range(LAYERS)
        for kind in LLAMA
    }


class Weights:
    """What vLLM's packing leaves of a module."""

    def __init__(self, kind: str, rank: int, seed: int) -> None:
        _, widths, inputs = KINDS[kind]
        generator = torch.Generator().manual_seed(seed)
        a = [torch.randn(rank, inputs, generator=generator).to(DTYPE) for _ in widths]
        b = [torch.randn(width, rank, generator=generator).to(DTYPE) for width in widths]
        self.lora_a: Any = a if len(widths) > 1 else a[0]
        self.lora_b: Any = b if len(widths) > 1 else b[0]


class Model:
    """An adapter that vLLM has read and packed."""

    def __init__(self, lora_id: int, names: list[str], rank: int) -> None:
        self.id = lora_id
        self.modules_to_save: dict[str, Any] = {}
        self.loras = {
            name: Weights(name.rpartition(".")[2], rank, lora_id + place)
            for place, name in enumerate(names)
        }

    def get_lora(self, name: str) -> Weights | None:
        return self.loras.get(name)


def manager_of(layers: dict[str, Any]) -> ToyManager:
    from tests.gpu.lora_batch import lora_config

    return ToyManager(layers, lora_config(max_cpu_loras=8))


def with_slots(manager: ToyManager) -> DeviceSlots:
    stacks = SlotStacks.of(manager.modules, DTYPE)
    manager.device_slots = DeviceSlots(stacks, manager.modules, 8)
    slots = slots_of(manager)
    assert slots is not None
    return slots


def held(layers: dict[str, Any], slot: int) -> list[torch.Tensor]:
    torch.cuda.synchronize()
    return [
        stack[slot].clone()
        for layer in layers.values()
        for stack in (*layer.lora_a_stacked, *layer.lora_b_stacked)
    ]


@pytest.mark.parametrize("rank", [RANK // 2, RANK])
def test_a_slot_holds_what_vllm_would_have_put_there(layers: dict[str, Any], rank: int) -> None:
    """To the bit, also beside work on the current stream."""
    names = [name for name in layers if not name.endswith("o_proj")]
    model = Model(7, names, rank)
    by_vllm = manager_of(layers)
    by_vllm._registered_adapters[7] = copy.deepcopy(model)
    stock_activate(by_vllm, 7)
    expected = held(layers, 0)

    for layer in layers.values():
        for stack in (*layer.lora_a_stacked, *layer.lora_b_stacked):
            stack.normal_()
    manager = manager_of(layers)
    slots = with_slots(manager)
    assert slots.lay_out(manager, model)  # type: ignore[arg-type]
    assert model.block.values.is_pinned()  # type: ignore[attr-defined]
    manager._registered_adapters[7] = model
    assert slots.activate(manager, 7, stock_activate)
    slots.use([0])
    for one, other in zip(held(layers, 0), expected, strict=True):
        assert torch.equal(one, other)


def test_the_time_of_an_activation(layers: dict[str, Any], figures: list[str]) -> None:
    """On the loop, and until the slot is written; the loop never waits for the device."""
    names = list(layers)
    by_vllm = manager_of(layers)
    pinned = Model(7, names, RANK)
    for weights in pinned.loras.values():
        for name in ("lora_a", "lora_b"):
            own = getattr(weights, name)
            whole = (
                [part.pin_memory() for part in own] if isinstance(own, list) else own.pin_memory()
            )
            setattr(weights, name, whole)
    by_vllm._registered_adapters[7] = pinned

    manager = manager_of(layers)
    slots = with_slots(manager)
    model = Model(8, names, RANK)
    slots.lay_out(manager, model)  # type: ignore[arg-type]
    manager._registered_adapters[8] = model

    def stock_way() -> None:
        stock_activate(by_vllm, 7)
        by_vllm.deactivate_adapter(7)

    def our_way() -> None:
        slots.activate(manager, 8, stock_activate)
        manager.deactivate_adapter(8)

    for name, way in (("vLLM", stock_way), ("a block", our_way)):
        on_loop, whole = median_ms(way)
        figures.append(
            f"slots: one activation, {LAYERS} layers of 8B, by {name}: {on_loop:.2f} ms of the "
            f"loop, {whole:.2f} ms in all"
        )

    torch.cuda.set_sync_debug_mode("error")
    try:
        our_way()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def median_ms(work: Any, rounds: int = 20) -> tuple[float, float]:
    """Return the medians of the time until `work` returns, and until the device has done it."""
    times: list[tuple[float, float]] = []
    for _ in range(rounds + 3):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        work()
        returned = time.perf_counter()
        torch.cuda.synchronize()
        times.append((1000 * (returned - begun), 1000 * (time.perf_counter() - begun)))
    middle = len(times[3:]) // 2
    return sorted(t[0] for t in times[3:])[middle], sorted(t[1] for t in times[3:])[middle]


def test_the_other_stream_keeps_the_order() -> None:
    """What is written beside the steps comes behind those that were started, and before those that
    are held.
    """
    timeline = TwoStreams(torch.device("cuda", torch.cuda.current_device()))
    slot = torch.zeros(1 << 22, device="cuda")
    seen = torch.zeros(2, device="cuda")
    for _ in range(20):
        slot.zero_()
        torch.cuda._sleep(20_000_000)
        seen[0] = slot.max()
        steps = timeline.mark_steps()
        with timeline.beside():
            timeline.follow(steps)
            torch.cuda._sleep(10_000_000)
            slot.fill_(1)
        written = timeline.mark_beside()
        timeline.hold_steps(written)
        seen[1] = slot.min()
        torch.cuda.synchronize()
        assert written.query()
        assert seen.tolist() == [0, 1]


def test_the_metadata_of_a_batch_is_vllms_and_nobody_waits(figures: list[str]) -> None:
    """Every buffer has the same contents, and no call asks the device for a number."""
    ours, by_vllm = make_wrapper(), make_wrapper()
    ids = [slot + 1 for slot in range(SLOTS)]
    for rows in (1, 64, 4096):
        mapping = LoRAMapping(
            tuple(row % (SLOTS + 1) for row in range(rows)), tuple(range(SLOTS + 1)), True
        )
        stock_update(by_vllm, mapping, ids, SLOTS + 1, VOCABULARY)
        torch.cuda.set_sync_debug_mode("error")
        try:
            update_metadata(ours, mapping, ids, SLOTS + 1, VOCABULARY)
        finally:
            torch.cuda.set_sync_debug_mode("default")

        for one, other in zip(_buffers(ours, rows), _buffers(by_vllm, rows), strict=True):
            assert torch.equal(one, other)

        own, _ = median_ms(lambda m=mapping: update_metadata(ours, m, ids, SLOTS + 1, VOCABULARY))
        vllm_ms, _ = median_ms(
            lambda m=mapping: stock_update(by_vllm, m, ids, SLOTS + 1, VOCABULARY)
        )
        figures.append(
            f"metadata: {rows} rows: vLLM {vllm_ms:.2f} ms of the loop, ours {own:.2f} ms"
        )


def _buffers(wrapper: Any, rows: int) -> list[torch.Tensor]:
    meta = wrapper.token_mapping_meta
    return [
        wrapper.token_lora_indices,
        wrapper.sampler_indices,
        wrapper.sampler_indices_padded,
        wrapper._embeddings_indices[:rows],
        meta.token_lora_mapping[:rows],
        meta.token_indices_sorted_by_lora_ids[:rows],
        meta.active_lora_ids,
        meta.num_tokens_per_lora,
        meta.lora_token_start_loc,
        meta.no_lora_flag_cpu,
        meta.num_active_loras_cpu,
    ]

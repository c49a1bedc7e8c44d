"""Which tensors of vLLM's layers make up a slot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from vllm.lora.utils import from_layer_classification
from vllm.model_executor.layers.linear import ReplicatedLinear

from lorabay.vllm_plugin.device_slots.slot_stacks import SlotStacks, parts_of
from tests.vllm_plugin import stock
from tests.vllm_plugin.device_slots.toys import (
    DTYPE,
    HIDDEN,
    RANK,
    SLOTS,
    VOCABULARY,
    lora_config,
    make_layer,
    make_layers,
)


@pytest.fixture(autouse=True)
def stock_layers(one_rank: None, monkeypatch: pytest.MonkeyPatch) -> None:
    stock.restore(monkeypatch)


def test_each_slice_has_an_a_and_a_b() -> None:
    """In the order of the layers; an embedding's A has its rank last."""
    stacks = SlotStacks.of(make_layers(lora_config()), DTYPE)
    assert stacks.places["layers.0.qkv_proj"] == (0, 1, 2, 3, 4, 5)
    assert [stack.is_tall for stack in stacks.stacks[:6]] == [False] * 3 + [True] * 3
    assert stacks.stacks[0].shape == (RANK, HIDDEN)
    a, b = (stacks.stacks[number] for number in stacks.places["layers.0.embed_tokens"])
    assert (a.shape, a.is_tall) == ((VOCABULARY, RANK), True)
    assert (b.shape, b.rank) == ((HIDDEN, RANK), RANK)
    assert not stacks.left_to_vllm


def test_a_part_is_the_layers_own_memory() -> None:
    """What is written there is in the slot."""
    layer = make_layer("o_proj", lora_config())
    (a, _) = SlotStacks.of({"o_proj": layer}, DTYPE).stacks
    a.part(SLOTS - 1).fill_(3)
    assert layer.lora_a_stacked[0][SLOTS - 1].eq(3).all()
    assert layer.lora_a_stacked[0][: SLOTS - 1].eq(0).all()


def test_layers_that_keep_more_than_matrices_are_left_to_vllm() -> None:
    """Heads of classifiers, and what has another type."""
    config = lora_config()
    head = from_layer_classification(
        ReplicatedLinear(HIDDEN, 4, bias=False, params_dtype=DTYPE), SLOTS, config, None
    )
    other = make_layer("gate", lora_config(lora_dtype=torch.float16))
    layers: dict[str, Any] = {"score": head, "gate": other, "o": make_layer("o_proj", config)}
    stacks = SlotStacks.of(layers, DTYPE)
    assert set(stacks.left_to_vllm) == {"score", "gate"}
    assert set(stacks.places) == {"o"}


def test_a_layer_is_asked_without_being_changed() -> None:
    """Its slots and its stacks stay what they were."""
    layer = make_layer("gate", lora_config())
    before = layer.lora_a_stacked
    a, b = parts_of(layer, torch.ones(2, HIDDEN), torch.ones(8, 2))
    assert layer.lora_a_stacked is before
    assert before[0].eq(0).all()
    assert a[:2].eq(1).all()
    assert a[2:].eq(0).all()
    assert b[:, :2].eq(1).all()

"""The LoRA products of a batch against a float64 reference of the mathematics."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from lorabay.vllm_plugin.grouped_rows import GroupedPunicaWrapper, group_rows

SLOTS = 4
TOLERANCE = 1e-5


def wrapper_for(slots: list[int]) -> GroupedPunicaWrapper:
    """A wrapper whose rows, and whose sampled positions, lie in the given slots."""
    from vllm.lora.layers import LoRAMapping

    ids = tuple(slot + 1 if slot >= 0 else 0 for slot in slots)
    wrapper = GroupedPunicaWrapper(max(len(slots), 8), max(len(slots), 8), "cpu")
    mapping = LoRAMapping(ids, ids, is_prefill=True)
    wrapper.update_metadata(mapping, [slot + 1 for slot in range(SLOTS)], SLOTS, 100)
    return wrapper


def stacked(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(SLOTS, 1, *shape, generator=torch.Generator().manual_seed(seed))


def reference(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, slots: list[int], scale: float) -> torch.Tensor:
    """scale * B (A x) row by row in float64; zero for rows without an adapter."""
    rows = [
        scale * (b[slot, 0].double() @ (a[slot, 0].double() @ row.double()))
        if slot >= 0
        else torch.zeros(b.shape[2], dtype=torch.float64)
        for row, slot in zip(x, slots, strict=True)
    ]
    return torch.stack(rows)


rows_of_slots = st.lists(st.integers(-1, SLOTS - 1), min_size=1, max_size=12)


@given(slots=rows_of_slots, rank=st.integers(1, 9), widths=st.lists(st.integers(1, 17), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_packed_module_equals_the_float64_reference(slots: list[int], rank: int, widths: list[int]) -> None:
    """Each row gets its own slot's product in every slice, and rows without an adapter stay as they were."""
    x = torch.randn(len(slots), 11)
    start = torch.randn(len(slots), sum(widths))
    a = tuple(stacked(rank, 11, seed=i) for i in range(len(widths)))
    b = tuple(stacked(width, rank, seed=10 + i) for i, width in enumerate(widths))
    y = start.clone()
    wrapper_for(slots).add_lora_linear(y, x, a, b, 0.5, tuple(widths))
    delta = torch.cat([reference(x, a_i, b_i, slots, 0.5) for a_i, b_i in zip(a, b, strict=True)], dim=1)
    torch.testing.assert_close(y.double(), start.double() + delta, rtol=TOLERANCE, atol=1e-4)
    base_rows = [row for row, slot in enumerate(slots) if slot < 0]
    assert torch.equal(y[base_rows], start[base_rows])


@given(slots=rows_of_slots)
@settings(max_examples=30, deadline=None)
def test_shrink_then_expand_equals_the_fused_product(slots: list[int]) -> None:
    """The sharded layers' two calls give what the single call gives, at any column offset."""
    x, a, b = torch.randn(len(slots), 6), stacked(3, 6, seed=1), stacked(5, 3, seed=2)
    wrapper = wrapper_for(slots)
    fused, split = torch.zeros(len(slots), 5), torch.zeros(len(slots), 7)
    wrapper.add_lora_linear(fused, x, (a,), (b,), 1.0, (5,))
    buffer = torch.zeros(1, len(slots), 3)
    wrapper.add_shrink(buffer, x, (a,), 1.0)
    wrapper.add_expand(split, buffer, (b,), (5,), offset_start=2)
    torch.testing.assert_close(split[:, 2:], fused)
    assert not split[:, :2].any()


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_lies_in_an_unused_slot_never_reaches_a_result(poison: float) -> None:
    """A slot that no row of the batch uses may hold anything."""
    slots = [-1, 1, -1, 1]
    a, b = stacked(2, 4, seed=3), stacked(3, 2, seed=4)
    for unused in (0, 2, 3):
        a[unused], b[unused] = poison, poison
    wrapper = wrapper_for(slots)
    y = torch.zeros(4, 3)
    wrapper.add_lora_linear(y, torch.randn(4, 4), (a,), (b,), 1.0, (3,))
    logits = torch.zeros(4, 3)
    wrapper.add_lora_logits(logits, torch.randn(4, 4), a, b, 1.0)
    assert torch.isfinite(y).all()
    assert torch.isfinite(logits).all()
    assert not y[[0, 2]].any()


def test_logits_use_the_sampled_positions() -> None:
    """The head's product follows the rows that are sampled, and may be narrower than the padded weights."""
    slots = [2, -1, 0]
    x, a, b = torch.randn(3, 4), stacked(2, 4, seed=5), stacked(9, 2, seed=6)
    logits = torch.zeros(3, 7)
    wrapper_for(slots).add_lora_logits(logits, x, a, b, 1.0)
    expected = reference(x, a, b, slots, 1.0)[:, :7]
    torch.testing.assert_close(logits.double(), expected, rtol=TOLERANCE, atol=1e-4)


def test_embeddings_add_only_to_rows_with_an_adapter() -> None:
    """A base row's looked-up weights, whatever they are, are not added."""
    slots = [-1, 3]
    looked_up, b = torch.randn(2, 2), stacked(5, 2, seed=7)
    y = torch.zeros(2, 5)
    wrapper_for(slots).add_lora_embedding(y, looked_up, b)
    assert not y[0].any()
    torch.testing.assert_close(y[1], b[3, 0] @ looked_up[1])


def test_adjacent_rows_become_a_slice() -> None:
    """Rows side by side are addressed without an index tensor."""
    groups = dict(group_rows(torch.tensor([1, 1, -1, 0, 2, 0])))
    assert groups[1] == slice(0, 2)
    assert groups[2] == slice(4, 5)
    assert groups[0].tolist() == [3, 5]  # type: ignore[union-attr]

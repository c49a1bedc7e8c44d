"""Slots that refer to adapters instead of holding copies of them."""

from __future__ import annotations

import torch

from lorabay.vllm_plugin.kernel import arguments as kernel_arguments
from lorabay.vllm_plugin.module_slots import ModuleFactors, ModuleSlots, ModuleWeights
from tests.vllm_plugin.updates import random_weights

WIDTHS = [8, 4, 4]


def test_a_slot_is_a_reference() -> None:
    """The table holds the addresses of the adapter's own tensors: nothing was copied."""
    weights = ModuleWeights.lay_out(*random_weights(6, WIDTHS, 4, 1, scaled=True), torch.bfloat16)
    slots = ModuleSlots(6, WIDTHS, 2, torch.bfloat16)
    slots.put(1, weights)
    assert not slots.table[0].any()
    rows = 6 * weights.a.element_size()
    assert slots.table[1, :, kernel_arguments.A].tolist() == [
        weights.a.data_ptr() + 4 * i * rows for i in range(3)
    ]
    assert slots.table[1, :, kernel_arguments.B].tolist() == [
        b.data_ptr() for b in weights.b if b is not None
    ]
    assert slots.table[1, :, kernel_arguments.RANK].tolist() == [4, 4, 4]
    assert slots.low_width == 3 * 4


def test_memory_is_that_of_the_factors() -> None:
    """In the engine's type and at the adapter's own rank, whatever the highest is."""
    columns = kernel_arguments.COLUMNS
    weights = ModuleWeights.lay_out(
        *random_weights(6, [2 * columns, columns], 8, 1), torch.bfloat16
    )
    held = weights.a.numel() + sum(b.numel() for b in weights.b if b is not None)
    assert held == 2 * 8 * 6 + 8 * 3 * columns


def test_a_slice_without_factors_holds_nothing() -> None:
    """The others keep their places."""
    weights = ModuleWeights.lay_out(*random_weights(6, WIDTHS, 4, 1, missing=1), torch.float32)
    assert weights.ranks == (4, 0, 4)
    assert weights.b[1] is None
    assert weights.starts == (0, 4, 4)


def test_factors_are_laid_out_in_the_engines_type() -> None:
    """As if they had been converted and scaled one after the other, B alone; zeros fill A up."""
    (pair, none), scales = random_weights(6, [8, 4], 3, 1, missing=1)
    assert pair is not None
    assert none is None
    stored = (pair[0].bfloat16(), pair[1].bfloat16())
    found = ModuleFactors((stored, None), tuple(scales), torch.float32).laid_out(scaling=0.3)

    assert torch.equal(found.a[:3], stored[0].float())
    assert not found.a[3:].any()
    assert len(found.a) == found.ranks[0] == 4
    assert found.b[0] is not None
    rows = found.layout.unpack_b(found.b[0], 8)
    assert torch.equal(rows[:3], (stored[1].float() * 0.3).t())


def test_an_emptied_slot_holds_nothing() -> None:
    """Clearing twice, and clearing what was never filled, is fine."""
    slots = ModuleSlots(6, WIDTHS, 2, torch.float32)
    slots.put(0, ModuleWeights.lay_out(*random_weights(6, WIDTHS, 3, 1), torch.float32))
    assert slots.low_width
    slots.clear(0)
    slots.clear(0)
    slots.clear(1)
    assert not slots.low_width
    assert slots.weights == [None, None]
    assert not slots.table.any()

"""How B lies in memory, and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies as st

from lorabay.vllm_plugin.kernel import arguments as kernel_arguments, row_kernel
from lorabay.vllm_plugin.weight_layout import PLAIN, WeightLayout, layout_for


def packed(layout: WeightLayout, b: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """B as the layout writes it."""
    target = torch.zeros(layout.b_shape(*b.shape), dtype=dtype or b.dtype)
    layout.write_b(b, target)
    return target


@given(
    st.integers(1, 70),
    st.integers(1, 9),
    st.sampled_from([PLAIN, WeightLayout(4, 16, 1), WeightLayout(4, 16, 2), WeightLayout(2, 0, 2)]),
)
def test_what_is_packed_can_be_unpacked(outputs: int, rank: int, layout: WeightLayout) -> None:
    """Nothing is lost, and what was filled up is zero."""
    b = torch.arange(1.0, outputs * rank + 1).view(outputs, rank)
    written = packed(layout, b)
    rows = layout.unpack_b(written, outputs)
    assert torch.equal(rows[:rank], b.t())
    assert not rows[rank:].any()
    assert written.sum() == b.sum()


def test_ranks_lie_together_output_by_output() -> None:
    """The pairs that one instruction multiplies."""
    b = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    assert packed(WeightLayout(4, 2, 2), b).flatten().tolist() == [1, 2, 5, 6, 3, 4, 7, 8]


def test_the_type_changes_on_the_way() -> None:
    """Each number is rounded once, to what the engine computes in."""
    b = torch.rand(70, 5)
    written = packed(WeightLayout(4, 64, 2), b, torch.bfloat16)
    rows = WeightLayout(4, 64, 2).unpack_b(written, 70)
    assert torch.equal(rows[:5], b.t().bfloat16())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_kernel_gets_what_it_reads(dtype: torch.dtype) -> None:
    """Whole groups of ranks and whole blocks of outputs."""
    together = row_kernel.ranks_together(dtype)
    shape = layout_for(dtype).b_shape(kernel_arguments.COLUMNS + 1, 5)
    assert shape == (2, 8 // together, kernel_arguments.COLUMNS, together)


def test_a_type_that_the_kernel_does_not_serve_stays_as_it_is() -> None:
    """Matmuls want one matrix, and no zeros."""
    b = torch.ones(9, 3, dtype=torch.float16)
    assert layout_for(torch.float16) is PLAIN
    assert packed(PLAIN, b).numel() == b.numel()

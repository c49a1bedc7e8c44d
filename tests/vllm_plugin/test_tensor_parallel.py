"""What one of two tensor-parallel ranks keeps of an adapter; the layers are stand-ins with vLLM's
own slicing.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.lora.layers import MergedColumnParallelLinearWithLoRA, RowParallelLinearWithLoRA

from lorabay.vllm_plugin.tensor_parallel import local_factors, local_scales, slice_widths


def merged(rank: int) -> Any:
    """gate and up of 8 outputs each, on rank `rank` of two."""
    layer: Any = MergedColumnParallelLinearWithLoRA.__new__(MergedColumnParallelLinearWithLoRA)
    base = SimpleNamespace(output_sizes=[8, 8], skip_bias_add=False, bias=torch.arange(8.0))
    layer.__dict__ |= {
        "tp_size": 2,
        "tp_rank": rank,
        "output_slices": (4, 4),
        "n_slices": 2,
        "output_ids": (rank,) * 2,
    }
    layer.__dict__ |= {"_modules": {"base_layer": base}, "_parameters": {}, "_buffers": {}}
    return layer


def row(rank: int) -> Any:
    """6 inputs, 3 on each rank; the bias is added on rank 0 alone."""
    layer: Any = RowParallelLinearWithLoRA.__new__(RowParallelLinearWithLoRA)
    base = SimpleNamespace(skip_bias_add=False, bias=torch.ones(4))
    layer.__dict__ |= {
        "tp_size": 2,
        "tp_rank": rank,
        "input_size": 3,
        "output_size": 4,
        "n_slices": 1,
    }
    layer.__dict__ |= {"_modules": {"base_layer": base}, "_parameters": {}, "_buffers": {}}
    return layer


@pytest.mark.parametrize("rank", [0, 1])
def test_a_merged_layer_keeps_its_rows_of_each_part(rank: int) -> None:
    """B and the output factors are cut alike; A is whole; the bias is put back where it was
    scaled.
    """
    a, b = [torch.randn(2, 6) for _ in range(2)], [torch.randn(8, 2) for _ in range(2)]
    mine = slice(4 * rank, 4 * rank + 4)
    kept = local_factors(merged(rank), a, b)
    for pair, a_i, b_i in zip(kept, a, b, strict=True):
        assert pair is not None
        assert torch.equal(pair[0], a_i)
        assert torch.equal(pair[1], b_i[mine])
    factors = [torch.rand(8), None]
    scales = local_scales(merged(rank), factors)
    assert scales[1] is None
    assert scales[0] is not None
    assert scales[0].shift is not None
    first = factors[0]
    assert first is not None
    assert torch.equal(scales[0].factor, first[mine])
    torch.testing.assert_close(scales[0].shift, torch.arange(4.0) * (1 - first[mine]))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_row_layer_keeps_its_columns_of_a(rank: int) -> None:
    """Each rank scales its partial sum by the whole factor; only the rank that adds the bias puts
    it back.
    """
    a, b, factor = torch.randn(2, 6), torch.randn(4, 2), torch.rand(4)
    ((kept),) = local_factors(row(rank), a, b)
    assert kept is not None
    assert torch.equal(kept[0], a[:, 3 * rank : 3 * rank + 3])
    assert torch.equal(kept[1], b)
    (scale,) = local_scales(row(rank), factor)
    assert scale is not None
    assert torch.equal(scale.factor, factor)
    assert (scale.shift is None) == (rank == 1)


class OnADevice:
    """A bias in another memory: nothing can be computed with it before it is copied to the
    host's.
    """

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def detach(self) -> OnADevice:
        return self

    def cpu(self) -> torch.Tensor:
        return self.values


def test_a_bias_on_a_device_meets_the_factors_in_the_hosts_memory() -> None:
    """Factors are read from a file into the host's memory; the two must not be multiplied
    across.
    """
    layer, factor = row(0), torch.rand(4)
    layer.base_layer.bias = OnADevice(torch.ones(4))
    (scale,) = local_scales(layer, factor)
    assert scale is not None
    assert scale.shift is not None
    torch.testing.assert_close(scale.shift, 1 - factor)


def test_a_shift_is_a_number_and_no_step_of_training() -> None:
    """vLLM's biases are parameters; what is copied into a layer's tensors must not tie them to
    those.
    """
    layer = row(0)
    layer.base_layer.bias = torch.nn.Parameter(torch.ones(4))
    (scale,) = local_scales(layer, torch.rand(4))
    assert scale is not None
    assert scale.shift is not None
    assert not scale.shift.requires_grad


def test_one_tensor_for_all_parts_is_cut_into_them() -> None:
    """Some checkpoints hold gate and up as one module."""
    layer = merged(0)
    layer.__dict__ |= {"tp_size": 1, "output_slices": (8, 8)}
    a, b = torch.randn(2, 6), torch.randn(16, 2)
    kept = local_factors(layer, a, b)
    assert slice_widths(layer) == (8, 8)
    assert all(pair is not None and torch.equal(pair[0], a) for pair in kept)
    assert torch.equal(torch.cat([pair[1] for pair in kept if pair is not None]), b)

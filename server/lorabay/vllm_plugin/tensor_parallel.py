"""Cuts an adapter's tensors into what one layer of one tensor-parallel rank uses, by the layer's
own methods.

Tensors come as vLLM's packing leaves them: one tensor for a plain module, a list with an entry or
None for each part of a packed one (q, k, v; gate, up). Device-independent.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.lora.layers import MergedColumnParallelLinearWithLoRA, RowParallelLinearWithLoRA
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA

from lorabay.vllm_plugin.module_slots import Factors, OutputScale


def slice_widths(layer: BaseLinearLayerWithLoRA) -> tuple[int, ...]:
    """Outputs of each slice of `layer` on this rank."""
    if isinstance(layer, MergedColumnParallelLinearWithLoRA):
        return tuple(layer.output_slices)
    return (layer.output_size,)


def local_factors(layer: BaseLinearLayerWithLoRA, a: Any, b: Any) -> list[Factors | None]:
    """A and B of each slice, None where the adapter has none."""
    a, b = _by_slice(layer, a, b)
    if layer.tp_size > 1:
        a, b = layer.slice_lora_a(a), layer.slice_lora_b(b)
    if isinstance(b, torch.Tensor):
        a, b = [a], [b]
    return [
        None if a_i is None or b_i is None else (a_i, b_i) for a_i, b_i in zip(a, b, strict=True)
    ]


def local_scales(layer: BaseLinearLayerWithLoRA, factor: Any) -> list[OutputScale | None]:
    """The output scale of each slice, in the host's memory wherever the layer is.

    Factors are cut as the rows of B are; a bias of the base is not scaled.
    """
    rows: Any = (
        [None if f is None else f[:, None] for f in factor]
        if isinstance(factor, list)
        else factor[:, None]
    )
    _, rows = _by_slice(layer, rows, rows)
    if layer.tp_size > 1:
        rows = layer.slice_lora_b(rows)
    bias = _bias(layer)
    scales: list[OutputScale | None] = []
    offset = 0
    for part, width in zip(
        rows if isinstance(rows, list) else [rows], slice_widths(layer), strict=True
    ):
        if part is None:
            scales.append(None)
        else:
            c = part[:, 0].float().contiguous()
            shift = None if bias is None else bias[offset : offset + width].float() * (1 - c)
            scales.append(OutputScale(c, shift))
        offset += width
    return scales


def _by_slice(layer: BaseLinearLayerWithLoRA, a: Any, b: Any) -> tuple[Any, Any]:
    """A packed layer's tensors as lists with an entry for each slice; a plain layer's as they
    are.
    """
    if isinstance(layer, MergedColumnParallelLinearWithLoRA):
        if isinstance(b, torch.Tensor):
            a, b = [a] * layer.n_slices, list(torch.split(b, list(layer.base_layer.output_sizes)))
        if len(b) != layer.n_slices:
            a, b = layer.expand_packed_lora(a, b)
    return a, b


def _bias(layer: BaseLinearLayerWithLoRA) -> torch.Tensor | None:
    """The bias that is part of this rank's output when the update is added, in the host's
    memory.
    """
    base = layer.base_layer
    if base.skip_bias_add or (isinstance(layer, RowParallelLinearWithLoRA) and layer.tp_rank > 0):
        return None
    return None if base.bias is None else base.bias.detach().cpu()

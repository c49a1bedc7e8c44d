"""The part of an adapter's tensors that one layer of one tensor-parallel rank uses.

Tensors come as vLLM's packing leaves them: one tensor for a plain module, a list with an entry or
None for each part of a packed one (q, k, v; gate, up). They are cut by vLLM's own methods of the
layer. Works on every device.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.lora.layers import MergedColumnParallelLinearWithLoRA, RowParallelLinearWithLoRA
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA

from lorabay.vllm_plugin.module_slots import Factors, OutputScale


def slice_widths(layer: BaseLinearLayerWithLoRA) -> tuple[int, ...]:
    """Return the number of outputs of each slice of `layer` on this rank."""
    if isinstance(layer, MergedColumnParallelLinearWithLoRA):
        return tuple(layer.output_slices)

    return (layer.output_size,)


def adds_bias(layer: BaseLinearLayerWithLoRA) -> bool:
    """Return whether a bias is in this rank's output when the update is added."""
    base = layer.base_layer
    if base.bias is None or base.skip_bias_add:
        return False

    # Of a row-parallel layer's ranks, the first adds the bias.
    return not isinstance(layer, RowParallelLinearWithLoRA) or layer.tp_rank == 0


def local_factors(layer: BaseLinearLayerWithLoRA, a: Any, b: Any) -> list[Factors | None]:
    """Return A and B of each slice, None where the adapter has none."""
    a, b = _by_slice(layer, a, b)
    if layer.tp_size > 1:
        a, b = layer.slice_lora_a(a), layer.slice_lora_b(b)
    if isinstance(b, torch.Tensor):
        a, b = [a], [b]

    pairs: list[Factors | None] = []
    for a_i, b_i in zip(a, b, strict=True):
        pairs.append(None if a_i is None or b_i is None else (a_i, b_i))

    return pairs


def local_scales(layer: BaseLinearLayerWithLoRA, factor: Any) -> list[OutputScale | None]:
    """Return the output scale of each slice, in the host's memory wherever the layer is.

    Factors are cut as the rows of B are; a bias of the base is not scaled.
    """
    # As columns, so that vLLM's methods for B cut them.
    rows: Any
    if isinstance(factor, list):
        rows = [None if part is None else part[:, None] for part in factor]
    else:
        rows = factor[:, None]

    _, rows = _by_slice(layer, rows, rows)
    if layer.tp_size > 1:
        rows = layer.slice_lora_b(rows)
    parts = rows if isinstance(rows, list) else [rows]

    bias = _bias(layer)
    scales: list[OutputScale | None] = []
    offset = 0
    for part, width in zip(parts, slice_widths(layer), strict=True):
        if part is None:
            scales.append(None)
        else:
            c = part[:, 0].float().contiguous()
            shift = None if bias is None else bias[offset : offset + width].float() * (1 - c)
            scales.append(OutputScale(c, shift))
        offset += width

    return scales


def _by_slice(layer: BaseLinearLayerWithLoRA, a: Any, b: Any) -> tuple[Any, Any]:
    """Return a packed layer's tensors as lists with an entry for each slice, others unchanged."""
    if not isinstance(layer, MergedColumnParallelLinearWithLoRA):
        return a, b

    if isinstance(b, torch.Tensor):
        a = [a] * layer.n_slices
        b = list(torch.split(b, list(layer.base_layer.output_sizes)))
    if len(b) != layer.n_slices:
        a, b = layer.expand_packed_lora(a, b)

    return a, b


def _bias(layer: BaseLinearLayerWithLoRA) -> torch.Tensor | None:
    """Return the bias that is in this rank's output when the update is added, if any."""
    if not adds_bias(layer):
        return None

    bias: torch.Tensor = layer.base_layer.bias.detach().cpu()
    return bias

"""The LoRA products of a batch on the CPU, one pair of matmuls for each adapter slot in it.

vLLM 0.32's `PunicaWrapperCPU` gathers a copy of the weights for every token and indexes slot -1 for rows without an
adapter, so that base rows meet the last slot's weights. Here the rows of a step are grouped by slot once, rows
without an adapter belong to no group, and a group only ever touches its own slot and its own rows. Weights of an
unused slot are never read, whatever they hold.

Shapes: x (rows, in), y (rows, out), A stacked (slots, 1, rank, in), B stacked (slots, 1, out, rank).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

if TYPE_CHECKING:
    from vllm.lora.layers import LoRAMapping

Rows = slice | torch.Tensor
"""The rows of one group: a slice when they are adjacent, else an index tensor (int64)."""

Groups = tuple[tuple[int, Rows], ...]


def group_rows(slots: torch.Tensor) -> Groups:
    """Group row numbers by slot; `slots` (rows,) holds the slot of each row, -1 where there is no adapter."""
    groups: list[tuple[int, Rows]] = []
    for slot in sorted(set(slots.tolist()) - {-1}):
        rows = (slots == slot).nonzero().squeeze(1)
        first, last = int(rows[0]), int(rows[-1])
        adjacent = last - first + 1 == rows.numel()
        groups.append((slot, slice(first, last + 1) if adjacent else rows))
    return tuple(groups)


def shrink(x: torch.Tensor, a_stacked: torch.Tensor, slot: int, rows: Rows, scale: float) -> torch.Tensor:
    """scale * x[rows] @ A[slot]^T, of shape (rows of the group, rank), in A's dtype."""
    a = _matrix(a_stacked, slot)
    low = x[rows].to(a.dtype) @ a.T
    return low if scale == 1.0 else low * scale


def expand(
    y: torch.Tensor, low: torch.Tensor, b_stacked: torch.Tensor, slot: int, rows: Rows, offset: int, add: bool
) -> None:
    """y[rows, offset : offset + out] += (or =) low @ B[slot]^T; B may be padded beyond y's columns."""
    b = _matrix(b_stacked, slot)
    width = min(b.shape[0], y.shape[1] - offset)
    delta = (low.to(b.dtype) @ b.T)[:, :width].to(y.dtype)
    columns = y[:, offset : offset + width]
    if not add:
        columns[rows] = delta
    elif isinstance(rows, slice):
        columns[rows].add_(delta)
    else:
        columns.index_add_(0, rows, delta)


def _matrix(stacked: torch.Tensor, slot: int) -> torch.Tensor:
    matrix = stacked[slot]
    return matrix[0] if matrix.dim() == 3 else matrix


class GroupedPunicaWrapper(PunicaWrapperCPU):  # type: ignore[misc]
    """vLLM's CPU wrapper with the rows of each step grouped by slot."""

    def __init__(self, max_num_batched_tokens: int, max_batches: int, device: Any, **kwargs: Any) -> None:
        super().__init__(max_num_batched_tokens, max_batches, device, **kwargs)
        self._token_groups: Groups = ()
        self._sampler_groups: Groups = ()

    def update_metadata(
        self,
        mapping: LoRAMapping,
        lora_index_to_id: list[int | None],
        max_loras: int,
        vocab_size: int,
        **kwargs: Any,
    ) -> None:
        """Take over a step's mapping of rows to adapters; called once a step, before any layer runs."""
        super().update_metadata(mapping, lora_index_to_id, max_loras, vocab_size, **kwargs)
        self._token_groups = group_rows(self.token_lora_indices)
        self._sampler_groups = group_rows(self.sampler_indices)

    def add_shrink(
        self,
        y: tuple[torch.Tensor, ...] | torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        scale: float,
        **kwargs: Any,
    ) -> None:
        """y[i][rows] = scale * x[rows] @ A_i^T; the caller hands buffers of zeros, other rows stay zero."""
        x = x.view(-1, x.shape[-1])
        for slot, rows in self._token_groups:
            for buffer, a in zip(y, lora_a_stacked, strict=True):
                low = shrink(x, a, slot, rows, scale)
                buffer.view(-1, buffer.shape[-1])[rows, : low.shape[1]] = low.to(buffer.dtype)

    def add_expand(
        self,
        y: torch.Tensor,
        x: tuple[torch.Tensor, ...] | torch.Tensor,
        lora_b_stacked: tuple[torch.Tensor, ...],
        output_slices: tuple[int, ...],
        offset_start: int = 0,
        add_inputs: bool = True,
        **kwargs: Any,
    ) -> None:
        """y[rows, slice i] += x[i][rows] @ B_i^T, slices side by side from `offset_start`."""
        y = y.view(-1, y.shape[-1])
        for slot, rows in self._token_groups:
            offset = offset_start
            for low, b, width in zip(x, lora_b_stacked, output_slices, strict=True):
                expand(y, low[rows], b, slot, rows, offset, add_inputs)
                offset += width

    def add_lora_embedding(
        self, y: torch.Tensor, x: torch.Tensor, lora_b_stacked: torch.Tensor, add_inputs: bool = True, **kwargs: Any
    ) -> None:
        """y[rows] += x[rows] @ B^T, where x holds the looked-up rows of A."""
        for slot, rows in self._token_groups:
            expand(y, x[rows], lora_b_stacked, slot, rows, 0, add_inputs)

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        *,
        buffer: tuple[torch.Tensor, ...] | None = None,
        add_inputs: bool = True,
        **kwargs: Any,
    ) -> None:
        """y[rows, slice i] += scale * (x[rows] @ A_i^T) @ B_i^T for every slice i of a packed module."""
        y = y.view(-1, y.shape[-1])
        x = x.view(-1, x.shape[-1])
        for slot, rows in self._token_groups:
            offset = 0
            for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                expand(y, shrink(x, a, slot, rows, scale), b, slot, rows, offset, add_inputs)
                offset += width

    def add_lora_logits(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        scale: float,
        *,
        buffer: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        """y[rows] += scale * (x[rows] @ A^T) @ B^T, where rows are the sampled positions of the step."""
        y = y.view(-1, y.shape[-1])
        x = x.view(-1, x.shape[-1])
        for slot, rows in self._sampler_groups:
            expand(y, shrink(x, lora_a_stacked, slot, rows, scale), lora_b_stacked, slot, rows, 0, True)

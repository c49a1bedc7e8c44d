"""Adds the adapters' updates of one linear module to the base's output, in place.

Few rows of a slot go through the row kernel in one call for the whole module; many rows go through two matmuls for
each slice. Rows without an adapter, and rows whose adapter does not touch the module, are not read or written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from lorabay.vllm_plugin import row_kernel

if TYPE_CHECKING:
    from lorabay.vllm_plugin.batch_rows import BatchRows, RowGroup
    from lorabay.vllm_plugin.module_slots import ModuleSlots, ModuleWeights

KERNEL_TYPES = (torch.bfloat16, torch.float32)


class RowKernel:
    """The row kernel with the scratch memory that it needs; one for each thread that runs layers."""

    def __init__(self) -> None:
        self._low = np.empty(0, np.float32)
        self._wide = np.empty(0, np.float32)

    def add(self, y: torch.Tensor, x: torch.Tensor, slots: ModuleSlots, batch: BatchRows) -> None:
        """y[rows] = y[rows] * factor + shift + B A x[rows] for the rows of `batch.few`; all of one kernel type."""
        rows, tiles = batch.rows, batch.tiles
        low, wide = rows.size * len(slots.widths) * slots.max_rank, rows.size * slots.inputs
        if self._low.size < low:
            self._low = np.empty(low, np.float32)
        if self._wide.size < wide:
            self._wide = np.empty(wide, np.float32)
        block, item = slots.arguments, y.element_size()
        block[row_kernel.Y], block[row_kernel.X] = y.data_ptr(), x.data_ptr()
        block[row_kernel.Y_STRIDE], block[row_kernel.X_STRIDE] = y.stride(0) * item, x.stride(0) * item
        block[row_kernel.ITEM], block[row_kernel.MAX_RANK] = item, slots.max_rank
        block[row_kernel.ROWS], block[row_kernel.ROW_COUNT] = rows.ctypes.data, rows.size
        block[row_kernel.TILES], block[row_kernel.TILE_COUNT] = tiles.ctypes.data, len(tiles)
        block[row_kernel.LOW], block[row_kernel.WIDE] = self._low.ctypes.data, self._wide.ctypes.data
        row_kernel.run(block, y.dtype is torch.bfloat16)


def add_update(y: torch.Tensor, x: torch.Tensor, slots: ModuleSlots, batch: BatchRows, kernel: RowKernel) -> None:
    """Add to y (rows, outputs) what the adapters of the batch make of x (rows, inputs).

    Raises IndexError when the batch has more rows than `y`: they would be written beyond it.
    """
    if slots.is_empty or not batch.groups:
        return
    if batch.length > y.shape[0]:
        raise IndexError(f"the batch has {batch.length} rows, the layer's output {y.shape[0]}")
    if x.stride(-1) != 1:
        x = x.contiguous()
    fits = x.dtype is y.dtype and y.dtype in KERNEL_TYPES and slots.dtype is y.dtype and row_kernel.is_available()
    if fits and batch.few:
        kernel.add(y, x, slots, batch)
    for group in batch.many if fits else batch.groups:
        weights = slots.weights[group.slot]
        if weights is not None:
            _expand(y, x[group.rows].to(weights.a.dtype) @ weights.a.t(), slots, weights, group)


def add_by_matmuls(y: torch.Tensor, x: torch.Tensor, slots: ModuleSlots, batch: BatchRows) -> None:
    """The same without the row kernel, for any types, and for a `y` of fewer or more columns than the weights."""
    for group in () if slots.is_empty else batch.groups:
        weights = slots.weights[group.slot]
        if weights is not None:
            _expand(y, x[group.rows].to(weights.a.dtype) @ weights.a.t(), slots, weights, group)


def add_looked_up(y: torch.Tensor, ids: torch.Tensor, slots: ModuleSlots, batch: BatchRows) -> None:
    """Add to an embedding's output y (rows, hidden) the update of its token ids (rows,): B A[:, ids]."""
    for group in () if slots.is_empty else batch.groups:
        weights = slots.weights[group.slot]
        if weights is not None:
            _expand(y, weights.a[:, ids[group.rows]].t(), slots, weights, group)


def _expand(y: torch.Tensor, low: torch.Tensor, slots: ModuleSlots, weights: ModuleWeights, group: RowGroup) -> None:
    """y = y * factor + shift + low @ B^T for one group; rows that are no slice are copied there and back."""
    rows = y[group.rows]
    for i, b in enumerate(weights.b):
        if b is None:
            continue
        part = rows[:, slots.offsets[i] : slots.offsets[i] + b.shape[1]]
        if (scale := weights.scales[i]) is not None:
            scaled = part * scale.factor
            part.copy_(scaled if scale.shift is None else scaled + scale.shift)
        shrunk = low[:, weights.starts[i] : weights.starts[i] + weights.ranks[i]]
        if b.dtype is part.dtype and part.shape[1] == b.shape[1]:
            part.addmm_(shrunk, b)
        else:
            part += (shrunk @ b[:, : part.shape[1]]).to(part.dtype)
    if not isinstance(group.rows, slice):
        y[group.rows] = rows

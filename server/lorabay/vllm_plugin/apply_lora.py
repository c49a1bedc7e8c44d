"""Adds the adapters' updates of one linear module to the base's output, in place.

The row kernel does it in one call for the whole module. Where it does not serve the types, two
matmuls for each slice do. Rows without an adapter, and rows whose adapter does not touch the
module, are not read or written.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
import torch

from lorabay.vllm_plugin import kernel_arguments, row_kernel

if TYPE_CHECKING:
    from lorabay.vllm_plugin.batch_rows import BatchRows, RowGroup
    from lorabay.vllm_plugin.module_slots import ModuleSlots, ModuleWeights


class RowKernel:
    """The row kernel with the memory that its calls need; one for each thread that runs layers."""

    def __init__(self) -> None:
        self._low = np.empty(0, np.float32)
        self._call = (ctypes.c_int64 * kernel_arguments.CALL)()
        self._address = ctypes.addressof(self._call)

    def add(self, y: torch.Tensor, x: torch.Tensor, slots: ModuleSlots, batch: BatchRows) -> None:
        """y[rows] = y[rows] * factor + shift + B A x[rows] for the rows of `batch`; all of one
        type.
        """
        low = batch.count * slots.low_width
        if self._low.size < low:
            self._low = np.empty(low, np.float32)
            self._call[kernel_arguments.LOW] = self._low.ctypes.data
        item = y.itemsize
        # All at once, in the order of the fields: a step makes hundreds of calls.
        self._call[: kernel_arguments.LOW] = [
            y.data_ptr(),
            x.data_ptr(),
            y.stride(0) * item,
            x.stride(0) * item,
            slots.address,
            batch.address,
        ]
        kernel, parallel = row_kernel.compiled(y.dtype)
        parallel(kernel, self._address, torch.get_num_threads(), 0)


def add_update(
    y: torch.Tensor, x: torch.Tensor, slots: ModuleSlots, batch: BatchRows, kernel: RowKernel
) -> None:
    """Add to y (rows, outputs) what the adapters of the batch make of x (rows, inputs).

    Raises IndexError when the batch has more rows than `y`: they would be written beyond it.
    """
    if not slots.low_width or not batch.count:
        return
    rows, columns = y.shape
    if batch.length > rows:
        raise IndexError(f"the batch has {batch.length} rows, the layer's output {rows}")
    if slots.of_kernel and x.dtype is y.dtype is slots.dtype and columns >= slots.outputs:
        kernel.add(y, x if x.stride(1) == 1 else x.contiguous(), slots, batch)
    else:
        add_by_matmuls(y, x, slots, batch)


def add_by_matmuls(y: torch.Tensor, x: torch.Tensor, slots: ModuleSlots, batch: BatchRows) -> None:
    """The same without the row kernel, for any types, and for a `y` of fewer columns than the
    weights.
    """
    for group in batch.groups if slots.low_width else ():
        weights = slots.weights[group.slot]
        if weights is not None:
            _expand(y, x[group.rows].to(weights.a.dtype) @ weights.a.t(), slots, weights, group)


def add_looked_up(y: torch.Tensor, ids: torch.Tensor, slots: ModuleSlots, batch: BatchRows) -> None:
    """Add to an embedding's output y (rows, hidden) the update of its token ids (rows,): B A[:,
    ids].
    """
    for group in batch.groups if slots.low_width else ():
        weights = slots.weights[group.slot]
        if weights is not None:
            _expand(y, weights.a[:, ids[group.rows]].t(), slots, weights, group)


def _expand(
    y: torch.Tensor, low: torch.Tensor, slots: ModuleSlots, weights: ModuleWeights, group: RowGroup
) -> None:
    """y = y * factor + shift + low @ B^T for one group; rows that are no slice are copied there and
    back.
    """
    rows = y[group.rows]
    for i, b in enumerate(weights.b):
        if b is None:
            continue
        part = rows[:, slots.offsets[i] : slots.offsets[i] + slots.widths[i]]
        if (scale := weights.scales[i]) is not None:
            scaled = part * scale.factor
            part.copy_(scaled if scale.shift is None else scaled + scale.shift)
        shrunk = low[:, weights.starts[i] : weights.starts[i] + weights.ranks[i]]
        part += (shrunk @ weights.layout.unpack_b(b, part.shape[1])).to(part.dtype)
    if not isinstance(group.rows, slice):
        y[group.rows] = rows

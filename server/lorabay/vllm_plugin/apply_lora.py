"""The updates of one linear module by the adapters of a batch, added to the base's output in place.

One call of the row kernel does it for the whole module. Where the kernel does not serve the types,
two matmuls for each slice do. Rows without an adapter are neither read nor written, nor are rows
whose adapter does not touch the module.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
import torch

from lorabay.vllm_plugin.kernel import arguments as kernel_arguments, row_kernel

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
        """Compute y[rows] = y[rows] * factor + shift + B A x[rows] for the rows of `batch`.

        y (rows, outputs), x (rows, inputs) and the weights are of one type.
        """
        low = batch.count * slots.low_width
        if self._low.size < low:
            self._low = np.empty(low, np.float32)
            self._call[kernel_arguments.LOW] = self._low.ctypes.data

        # All at once, in the order of the fields: a step makes hundreds of calls.
        item = y.itemsize
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
    """Do the same without the row kernel: for any types, and for a `y` with fewer columns."""
    if not slots.low_width:
        return

    for group in batch.groups:
        weights = slots.weights[group.slot]
        if weights is not None:
            low = x[group.rows].to(weights.a.dtype) @ weights.a.t()
            _expand(y, low, slots, weights, group)


def add_looked_up(y: torch.Tensor, ids: torch.Tensor, slots: ModuleSlots, batch: BatchRows) -> None:
    """Add B A[:, ids] to an embedding's output y (rows, hidden) for its token ids (rows,)."""
    if not slots.low_width:
        return

    for group in batch.groups:
        weights = slots.weights[group.slot]
        if weights is not None:
            low = weights.a[:, ids[group.rows]].t()
            _expand(y, low, slots, weights, group)


def _expand(
    y: torch.Tensor, low: torch.Tensor, slots: ModuleSlots, weights: ModuleWeights, group: RowGroup
) -> None:
    """Compute y = y * factor + shift + low @ B^T for the rows of one group."""
    rows = y[group.rows]

    for i, b in enumerate(weights.b):
        if b is None:
            continue

        part = rows[:, slots.offsets[i] : slots.offsets[i] + slots.widths[i]]
        scale = weights.scales[i]
        if scale is not None:
            scaled = part * scale.factor
            part.copy_(scaled if scale.shift is None else scaled + scale.shift)

        shrunk = low[:, weights.starts[i] : weights.starts[i] + weights.ranks[i]]
        part += (shrunk @ weights.layout.unpack_b(b, part.shape[1])).to(part.dtype)

    # Rows that an index tensor picked are a copy, which goes back; a slice is the output itself.
    if not isinstance(group.rows, slice):
        y[group.rows] = rows

"""The adapters' weights of one linear module, by engine slot.

vLLM keeps a slot as a region of one large tensor and copies an adapter into it. On a CPU the copy
buys nothing: a slot here is a reference to the adapter's own tensors, laid out as the kernel reads
them. So a load is a pointer, an adapter costs its own bytes and no padding to the highest rank, and
an eviction frees nothing that is still read.

The A of all slices of a packed module lie one below the other in one matrix (ranks, inputs), so
that one product shrinks for all of them. Each B has the layout that `weight_layout` chose for the
type. Knows nothing of vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch

from lorabay.vllm_plugin.kernel import arguments as kernel_arguments, row_kernel
from lorabay.vllm_plugin.weight_layout import WeightLayout, layout_for

Factors = tuple[torch.Tensor, torch.Tensor]
"""A (rank, inputs) and B (outputs, rank) of one slice, as PEFT stores them."""


@dataclass(frozen=True, slots=True)
class OutputScale:
    """An adapter's change of the base's own output: y * factor + shift, both (outputs,) float32.

    DoRA's h = c * (W x) + ... has factor c. It leaves a bias b of the base alone, hence a shift of
    b * (1 - c).
    """

    factor: torch.Tensor
    shift: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class ModuleWeights:
    """One adapter's weights of one module.

    `b` and `scales` have an entry for each slice, None where the adapter has none.
    """

    a: torch.Tensor
    b: tuple[torch.Tensor | None, ...]
    ranks: tuple[int, ...]
    scales: tuple[OutputScale | None, ...]
    layout: WeightLayout

    @classmethod
    def lay_out(
        cls,
        factors: Sequence[Factors | None],
        scales: Sequence[OutputScale | None],
        dtype: torch.dtype,
    ) -> ModuleWeights:
        """Copy factors into the layout for `dtype`; at least one slice must have factors."""
        layout = layout_for(dtype)

        parts: list[torch.Tensor] = []
        ranks: list[int] = []
        b: list[torch.Tensor | None] = []
        for pair in factors:
            if pair is None:
                ranks.append(0)
                b.append(None)
                continue

            part = layout.pack_a(pair[0].to(dtype))
            parts.append(part)
            ranks.append(part.shape[0])
            b.append(layout.pack_b(pair[1].to(dtype)))

        return cls(torch.cat(parts).contiguous(), tuple(b), tuple(ranks), tuple(scales), layout)

    @property
    def starts(self) -> tuple[int, ...]:
        """The row of `a` where each slice begins."""
        return tuple(accumulate(self.ranks, initial=0))[:-1]


class ModuleSlots:
    """The slots of one module, and the table of addresses that the row kernel reads."""

    def __init__(self, inputs: int, widths: Sequence[int], slots: int, dtype: torch.dtype) -> None:
        self.inputs = inputs
        self.dtype = dtype
        self.widths = tuple(widths)
        *self.offsets, self.outputs = accumulate(self.widths, initial=0)
        self.weights: list[ModuleWeights | None] = [None] * slots
        self.low_width = 0
        """Numbers that a row shrinks to, at most; 0 while no slot has weights of this module."""

        self.of_kernel = row_kernel.serves(dtype)
        self.table = np.zeros((slots, len(self.widths), kernel_arguments.FIELDS), np.int64)
        self._width_block = np.array(self.widths, np.int64)
        self._block = kernel_arguments.module_block(inputs, self.table, self._width_block)
        self.address = self._block.ctypes.data

    def put(self, slot: int, weights: ModuleWeights) -> None:
        """Serve `weights` in `slot` from the next step on."""
        self.weights[slot] = weights

        row_bytes = weights.a.stride(0) * weights.a.element_size()
        for i, scale in enumerate(weights.scales):
            factor = None if scale is None else scale.factor
            shift = None if scale is None else scale.shift
            self.table[slot, i] = (
                weights.a.data_ptr() + weights.starts[i] * row_bytes,
                _address(weights.b[i]),
                weights.ranks[i],
                _address(factor),
                _address(shift),
            )

        self._refresh()

    def clear(self, slot: int) -> None:
        """Leave the base's output of `slot`'s rows alone from the next step on."""
        if self.weights[slot] is not None:
            self.weights[slot] = None
            self.table[slot] = 0
            self._refresh()

    def _refresh(self) -> None:
        highest = int(self.table[:, :, kernel_arguments.RANK].max())
        self._block[kernel_arguments.MAX_RANK] = highest
        self.low_width = len(self.widths) * highest


def _address(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()

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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from lorabay.vllm_plugin.kernel import arguments as kernel_arguments, row_kernel
from lorabay.vllm_plugin.weight_copies import WeightCopies
from lorabay.vllm_plugin.weight_layout import WeightLayout, layout_for
from lorabay.vllm_plugin.weight_memory import Shape

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


@dataclass(frozen=True, slots=True, eq=False)
class ModuleWeights:
    """One adapter's weights of one module.

    `b` and `scales` have an entry for each slice, None where the adapter has none.
    """

    a: torch.Tensor
    b: tuple[torch.Tensor | None, ...]
    ranks: tuple[int, ...]
    scales: tuple[OutputScale | None, ...]
    layout: WeightLayout
    entries: NDArray[np.int64] = field(init=False, repr=False)
    """Their rows of the table that the row kernel reads, worked out before a step waits for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", _entries(self))

    @classmethod
    def lay_out(
        cls,
        factors: Sequence[Factors | None],
        scales: Sequence[OutputScale | None],
        dtype: torch.dtype,
    ) -> ModuleWeights:
        """Copy factors into the layout for `dtype`; at least one slice must have factors."""
        return ModuleFactors(tuple(factors), tuple(scales), dtype).laid_out()

    @property
    def starts(self) -> tuple[int, ...]:
        """The row of `a` where each slice begins."""
        return tuple(accumulate(self.ranks, initial=0))[:-1]


@dataclass(frozen=True, slots=True)
class ModuleFactors:
    """An adapter's factors of one module, of any type, that are to be served in `dtype`.

    An entry for each slice, None where the adapter has none; at least one has factors.
    """

    factors: tuple[Factors | None, ...]
    scales: tuple[OutputScale | None, ...]
    dtype: torch.dtype

    @property
    def shapes(self) -> list[Shape]:
        """The shapes of the tensors that `laid_out` makes, in the order in which it makes them."""
        layout = layout_for(self.dtype)
        pairs = [pair for pair in self.factors if pair is not None]
        a_shape = sum(self._ranks()), pairs[0][0].shape[1]
        return [a_shape, *(layout.b_shape(*b.shape) for _, b in pairs)]

    def laid_out(self, *, scaling: float = 1.0) -> ModuleWeights:
        """Return copies of the factors in their final layout, B times `scaling`."""
        copies = WeightCopies(layout_for(self.dtype), self.dtype)
        weights = self.place(partial(torch.zeros, dtype=self.dtype), copies, scaling=scaling)
        copies.make()
        return weights

    def place(
        self, zeros: Callable[[Shape], torch.Tensor], copies: WeightCopies, *, scaling: float
    ) -> ModuleWeights:
        """Return the weights in their final layout, which are there when `copies` are made.

        `zeros` makes the tensors of `shapes`.
        """
        layout = layout_for(self.dtype)
        shapes = iter(self.shapes)

        a = zeros(next(shapes))
        packed: list[torch.Tensor | None] = []
        start = 0
        for pair, ranks in zip(self.factors, self._ranks(), strict=True):
            if pair is None:
                packed.append(None)
                continue

            copies.add_a(pair[0], a[start : start + len(pair[0])])
            start += ranks

            b = zeros(next(shapes))
            copies.add_b(pair[1], b, scaling)
            packed.append(b)

        return ModuleWeights(a, tuple(packed), self._ranks(), self.scales, layout)

    def _ranks(self) -> tuple[int, ...]:
        """Return the padded rank of each slice."""
        layout = layout_for(self.dtype)
        return tuple(
            0 if pair is None else layout.whole_ranks(len(pair[0])) for pair in self.factors
        )


class ModuleSlots:
    """The slots of one module, and the table of addresses that the row kernel reads."""

    def __init__(self, inputs: int, widths: Sequence[int], slots: int, dtype: torch.dtype) -> None:
        self.inputs = inputs
        self.dtype = dtype
        self.widths = tuple(widths)
        *self.offsets, self.outputs = accumulate(self.widths, initial=0)
        self.weights: list[ModuleWeights | None] = [None] * slots
        self._ranks = [0] * slots
        """The highest rank of each slot's slices."""
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
        self.table[slot] = weights.entries
        self._set_rank(slot, max(weights.ranks))

    def clear(self, slot: int) -> None:
        """Leave the base's output of `slot`'s rows alone from the next step on."""
        if self.weights[slot] is not None:
            self.weights[slot] = None
            self.table[slot] = 0
            self._set_rank(slot, 0)

    def _set_rank(self, slot: int, rank: int) -> None:
        self._ranks[slot] = rank
        highest = max(self._ranks)
        self._block[kernel_arguments.MAX_RANK] = highest
        self.low_width = len(self.widths) * highest


def _entries(weights: ModuleWeights) -> NDArray[np.int64]:
    """Return the addresses and the rank of each slice (slices, FIELDS)."""
    row_bytes = weights.a.stride(0) * weights.a.element_size()
    entries: list[tuple[int, ...]] = []
    for i, scale in enumerate(weights.scales):
        factor = None if scale is None else scale.factor
        shift = None if scale is None else scale.shift
        entry = (
            weights.a.data_ptr() + weights.starts[i] * row_bytes,
            _address(weights.b[i]),
            weights.ranks[i],
            _address(factor),
            _address(shift),
        )
        entries.append(entry)

    return np.array(entries, np.int64)


def _address(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()

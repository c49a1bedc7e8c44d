"""Copies of an adapter's factors into their final layout: noted first, and made together.

What the compiled copies do not serve is left to torch. Knows nothing of modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from lorabay.vllm_plugin.kernel import packing
from lorabay.vllm_plugin.pace import without_rest
from lorabay.vllm_plugin.weight_layout import WeightLayout

TOGETHER_BYTES = 2 << 20
"""Bytes that are written between two rests, if no single matrix has more: about a millisecond."""


class WeightCopies:
    """Copies into tensors of one type and layout, from factors of any type."""

    def __init__(self, layout: WeightLayout, dtype: torch.dtype) -> None:
        self._layout = layout
        self._dtype = dtype
        self._noted: list[packing.Copy] = []

    def add_a(self, a: torch.Tensor, rows: torch.Tensor) -> None:
        """Copy A (rank, inputs) into as many rows."""
        if self._is_compiled(a):
            # Blocks of one row each lie as the rows do.
            self._noted.append(packing.Copy(a, rows.view(*a.shape, 1, 1), 1.0))
        else:
            rows.copy_(a)

    def add_b(self, b: torch.Tensor, packed: torch.Tensor, scaling: float) -> None:
        """Copy B (outputs, rank), times `scaling`, into zeros of its packed shape."""
        if self._is_compiled(b):
            self._noted.append(packing.Copy(b, packed, scaling))
        else:
            self._layout.write_b(b, packed)
            packed.mul_(scaling)

    def make(self, rest: Callable[[], None] = without_rest) -> None:
        """Make the copies that were noted, with a `rest` after each few; then none is."""
        noted, self._noted = self._noted, []
        for group in _groups(noted):
            packing.copy_all(group, self._dtype)
            rest()

    def _is_compiled(self, source: torch.Tensor) -> bool:
        return packing.serves(source.dtype, self._dtype) and source.stride(1) == 1


def _groups(copies: Sequence[packing.Copy]) -> Iterator[list[packing.Copy]]:
    """Yield all copies in order, `TOGETHER_BYTES` at a time."""
    group: list[packing.Copy] = []
    size = 0
    for copy in copies:
        group.append(copy)
        size += copy.target.nbytes
        if size >= TOGETHER_BYTES:
            yield group
            group, size = [], 0

    if group:
        yield group

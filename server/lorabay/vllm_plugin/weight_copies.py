"""Copies of an adapter's factors into their final layout: those of B noted, and made together.

What the compiled copies do not serve is left to torch. Knows nothing of modules.
"""

from __future__ import annotations

import torch

from lorabay.vllm_plugin.kernel import packing
from lorabay.vllm_plugin.weight_layout import WeightLayout


class WeightCopies:
    """Copies into tensors of one type and layout, from factors of any type."""

    def __init__(self, layout: WeightLayout, dtype: torch.dtype) -> None:
        self._layout = layout
        self._dtype = dtype
        self._noted: list[packing.Copy] = []

    def add_a(self, a: torch.Tensor, rows: torch.Tensor) -> None:
        """Copy A (rank, inputs) into as many rows, at once: for torch that is one step."""
        rows.copy_(a)

    def add_b(self, b: torch.Tensor, packed: torch.Tensor, scaling: float) -> None:
        """Copy B (outputs, rank), times `scaling`, into zeros of its packed shape."""
        self._noted.append(packing.Copy(b, packed, scaling))

    def make(self) -> None:
        """Make the copies that were noted; then none is."""
        noted, self._noted = self._noted, []

        compiled: list[packing.Copy] = []
        for copy in noted:
            if packing.serves(copy.source.dtype, self._dtype) and copy.source.stride(1) == 1:
                compiled.append(copy)
            else:
                self._layout.write_b(copy.source, copy.target)
                copy.target.mul_(copy.scaling)

        packing.copy_all(compiled, self._dtype)

"""The layout of B in memory: the order in which the row kernel reads it, or plain for matmuls."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from lorabay.vllm_plugin.kernel import arguments as kernel_arguments, row_kernel


@dataclass(frozen=True, slots=True)
class WeightLayout:
    """Padding and order of one type's weights.

    Ranks are padded with zeros to a multiple of `ranks`, outputs to a multiple of `columns`; 0
    columns are one block as wide as the outputs. For each output, the values of `together` ranks
    lie side by side.
    """

    ranks: int = 1
    columns: int = 0
    together: int = 1

    def pack_a(self, a: torch.Tensor) -> torch.Tensor:
        """Return A (rank, inputs) with rows of zeros below."""
        return pad(a, (0, 0, 0, -a.shape[0] % self.ranks))

    def pack_b(self, b: torch.Tensor) -> torch.Tensor:
        """Return B (outputs, rank) as (blocks, rank / together, columns, together)."""
        outputs, rank = b.shape
        columns = self.columns or outputs
        filled = pad(b, (0, -rank % self.ranks, 0, -outputs % columns))
        in_blocks = filled.view(-1, columns, filled.shape[1] // self.together, self.together)
        return in_blocks.transpose(1, 2).contiguous()

    def unpack_b(self, packed: torch.Tensor, outputs: int) -> torch.Tensor:
        """Return B transposed (rank, outputs) for a matmul; a copy unless it lies like that."""
        blocks, ranks, columns, together = packed.shape
        rows = packed.permute(1, 3, 0, 2).reshape(ranks * together, blocks * columns)
        return rows[:, :outputs]


PLAIN = WeightLayout()


def layout_for(dtype: torch.dtype) -> WeightLayout:
    """Return the layout that the row kernel reads for this type; PLAIN if it does not serve it."""
    if not row_kernel.serves(dtype):
        return PLAIN
    return WeightLayout(
        kernel_arguments.RANKS, kernel_arguments.COLUMNS, row_kernel.ranks_together(dtype)
    )

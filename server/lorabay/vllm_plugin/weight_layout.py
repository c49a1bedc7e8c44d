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

    def whole_ranks(self, rank: int) -> int:
        """Return the rank with what it is padded by."""
        return rank + -rank % self.ranks

    def b_shape(self, outputs: int, rank: int) -> tuple[int, int, int, int]:
        """Return the shape of B (outputs, rank): (blocks, rank / together, columns, together)."""
        columns = self.columns or outputs
        return (
            -(-outputs // columns),
            self.whole_ranks(rank) // self.together,
            columns,
            self.together,
        )

    def write_b(self, b: torch.Tensor, packed: torch.Tensor) -> None:
        """Write B (outputs, rank) of any type into zeros of its `b_shape`."""
        outputs, rank = b.shape
        columns = packed.shape[2]

        groups = pad(b, (0, -rank % self.together)).view(outputs, -1, self.together)
        in_order = packed.transpose(1, 2)[:, :, : groups.shape[1]]

        whole, rest = divmod(outputs, columns)
        if whole:
            in_order[:whole] = groups[: outputs - rest].view(whole, columns, -1, self.together)
        if rest:
            in_order[whole, :rest] = groups[outputs - rest :]

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

"""Which rows of a batch belong to which adapter: worked out once a step, read by every layer.

Rows of one slot are computed together. Few rows go to the row kernel as tiles of up to `row_kernel.TILE` rows; many
rows go to matmuls, where a range of adjacent rows is addressed without a copy. Rows without an adapter (slot -1) are
in no group. Knows nothing of weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lorabay.vllm_plugin.row_kernel import TILE

Slots = NDArray[np.int64]
"""The slot of each row, -1 where there is no adapter."""

FEW_ROWS = 64
"""Up to so many rows of one slot the row kernel is faster than two matmuls."""


@dataclass(frozen=True, slots=True)
class RowGroup:
    """The rows of one slot: a slice where they are adjacent, else an index tensor (int64)."""

    slot: int
    rows: slice | torch.Tensor
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class BatchRows:
    """The rows of one batch with an adapter. `tiles` (tiles, 3) holds slot, first place in `rows`, and row count."""

    length: int
    few: tuple[RowGroup, ...]
    many: tuple[RowGroup, ...]
    rows: NDArray[np.int64]
    tiles: NDArray[np.int64]

    @classmethod
    def group(cls, slots: Slots) -> BatchRows:
        order = np.argsort(slots, kind="stable")
        order = order[np.searchsorted(slots[order], 0) :]  # without the base's rows
        groups = [_group(int(slots[rows[0]]), rows) for rows in _runs(slots, order)]
        few = [(group, rows) for group, rows in groups if group.count <= FEW_ROWS]
        many = tuple(group for group, _ in groups if group.count > FEW_ROWS)
        rows = np.concatenate([rows for _, rows in few]) if few else np.empty(0, np.int64)
        return cls(len(slots), tuple(group for group, _ in few), many, rows, _tiles([group for group, _ in few]))

    @property
    def groups(self) -> tuple[RowGroup, ...]:
        return self.few + self.many


def _runs(slots: Slots, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """`order` cut where the slot changes."""
    if not order.size:
        return []
    return np.split(order, np.flatnonzero(np.diff(slots[order])) + 1)


def _group(slot: int, rows: NDArray[np.int64]) -> tuple[RowGroup, NDArray[np.int64]]:
    first, last = int(rows[0]), int(rows[-1])
    adjacent = last - first + 1 == rows.size
    return RowGroup(slot, slice(first, last + 1) if adjacent else torch.from_numpy(rows.copy()), rows.size), rows


def _tiles(groups: list[RowGroup]) -> NDArray[np.int64]:
    tiles: list[tuple[int, int, int]] = []
    place = 0
    for group in groups:
        tiles += [(group.slot, place + i, min(TILE, group.count - i)) for i in range(0, group.count, TILE)]
        place += group.count
    return np.array(tiles, np.int64).reshape(-1, 3)

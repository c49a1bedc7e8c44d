"""The rows of a batch by adapter, worked out once a step and read by every layer.

Rows of one slot are computed together. The row kernel takes them as panels of up to PANEL rows.
Matmuls take them as groups, where a range of adjacent rows is addressed without a copy. Rows
without an adapter (slot -1) are in no panel and in no group. Knows nothing of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from lorabay.vllm_plugin.kernel.arguments import LONG_PANEL, PANEL, SHORTEST_PANEL, batch_block

Slots = NDArray[np.int64]
"""The slot of each row, -1 where there is no adapter."""


@dataclass(frozen=True, slots=True)
class RowGroup:
    """The rows of one slot: a slice where they are adjacent, else an index tensor (int64)."""

    slot: int
    rows: slice | torch.Tensor


class BatchRows:
    """The rows of one batch that have an adapter.

    `rows` are their numbers, slot by slot. `panels` (panels, 3) holds slot, first place in `rows`,
    and row count. `long_panels` holds the same of adjacent rows that are computed in tiles, if the
    processor has them for the rows' type.
    """

    def __init__(self, slots: Slots, *, tiles: bool = False) -> None:
        self.length = len(slots)

        # Sorted by slot, base rows (-1) come first and are left out.
        order = np.argsort(slots, kind="stable")
        self.rows = order[np.searchsorted(slots[order], 0) :]
        self.count = self.rows.size

        self._runs = _runs(slots[self.rows])
        long_runs = [run for run in self._runs if tiles and self._is_long(*run)]
        self.panels = _panels([run for run in self._runs if run not in long_runs], PANEL)
        self.long_panels = _panels(long_runs, LONG_PANEL)
        self.block = batch_block(self.rows, self.panels, self.long_panels)
        self.address = self.block.ctypes.data

    def _is_long(self, slot: int, first: int, last: int) -> bool:
        count = last - first
        is_adjacent = self.rows[last - 1] - self.rows[first] == count - 1
        return bool(is_adjacent and count >= SHORTEST_PANEL)

    @cached_property
    def groups(self) -> tuple[RowGroup, ...]:
        """The rows of each slot, for matmuls."""
        return tuple(
            RowGroup(slot, _addressed(self.rows[first:last])) for slot, first, last in self._runs
        )


def _runs(slots: Slots) -> list[tuple[int, int, int]]:
    """Return slot, first place and end of each run of the same slot."""
    starts = [0, *(np.flatnonzero(np.diff(slots)) + 1).tolist(), len(slots)]
    return [(int(slots[first]), first, last) for first, last in pairwise(starts) if first < last]


def _panels(runs: list[tuple[int, int, int]], longest: int) -> NDArray[np.int64]:
    """Return the panels of some runs: as few as possible, of nearly the same length."""
    panels = []
    for slot, first, last in runs:
        parts = (last - first + longest - 1) // longest
        bounds = [first + (last - first) * part // parts for part in range(parts + 1)]
        panels += [(slot, begin, end - begin) for begin, end in pairwise(bounds)]

    return np.array(panels, np.int64).reshape(-1, 3)


def _addressed(rows: NDArray[np.int64]) -> slice | torch.Tensor:
    """Return adjacent rows as a slice, others as an index tensor."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == rows.size:
        return slice(first, last + 1)

    return torch.from_numpy(rows.copy())

"""The arguments of the row kernel: sizes of its parts, and blocks of numbers that hold addresses.

Shapes of one slice: A (rank, inputs), B in blocks of the order in which it is read (blocks, rank /
t, COLUMNS, t), where t is `ranks_together`, factor and shift (outputs,). Ranks are multiples of
RANKS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PANEL = 32
"""Rows of one adapter for which its weights are read from memory once."""

LONG_PANEL = 128
"""The same of adjacent rows, SHORTEST_PANEL at least, where the processor multiplies tiles."""

SHORTEST_PANEL = 16

TILE = 4
"""Rows of a panel that are computed together, in registers."""

RANKS = 4
"""Rows of A that are computed together, in registers."""

LANES = 16
"""Numbers of a vector; a processor with smaller registers takes several for one."""

COLUMNS = 4 * LANES
"""Outputs that are computed together, in registers: the width of B's blocks."""

AHEAD = 8192
"""Bytes of A that are prefetched, and half as many of B; saves some 10 % of a step's updates."""

LINE = 64
"""Bytes of a cache line."""

# Fields of the three argument blocks, of a slice's entry in the module's table, and of a panel, all
# int64.
Y, X, Y_STRIDE, X_STRIDE, MODULE, BATCH, LOW = range(7)  # strides in bytes
CALL = 7
INPUTS, SLICES, SLOTS, TABLE, WIDTHS, MAX_RANK = range(6)
MODULE_FIELDS = 6
ROWS, ROW_COUNT, PANELS, PANEL_COUNT, LONG_PANELS, LONG_PANEL_COUNT = range(6)
BATCH_FIELDS = 6
A, B, RANK, FACTOR, SHIFT = range(5)  # addresses, and the rank; 0 is no address
FIELDS = 5
SLOT, FIRST, COUNT = range(3)


def module_block(
    inputs: int, table: NDArray[np.int64], widths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the block that calls for one module share; its MAX_RANK is set later.

    The caller keeps the arrays alive.
    """
    block = np.zeros(MODULE_FIELDS, np.int64)
    block[INPUTS], block[SLOTS], block[SLICES] = inputs, table.shape[0], table.shape[1]
    block[TABLE], block[WIDTHS] = table.ctypes.data, widths.ctypes.data
    return block


def batch_block(
    rows: NDArray[np.int64], panels: NDArray[np.int64], long_panels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the block that calls for one batch share; the caller keeps the arrays alive."""
    fields = [rows.ctypes.data, rows.size]
    for some in (panels, long_panels):
        fields += [some.ctypes.data, len(some)]
    return np.array(fields, np.int64)

"""The row kernel's outer loops: each thread's share of a batch's updates, shrink, then expand.

numba compiles these functions; they call `kernel_vectors` for the inner loops.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit, types

from lorabay.vllm_plugin.kernel.arguments import (
    BATCH,
    BATCH_FIELDS,
    COLUMNS,
    COUNT,
    FACTOR,
    FIELDS,
    FIRST,
    INPUTS,
    LOW,
    MAX_RANK,
    MODULE,
    MODULE_FIELDS,
    PANEL_COUNT,
    PANELS,
    RANK,
    RANKS,
    ROW_COUNT,
    ROWS,
    SHIFT,
    SLICES,
    SLOT,
    SLOTS,
    TABLE,
    TILE,
    WIDTHS,
    X_STRIDE,
    Y_STRIDE,
    A,
    B,
    X,
    Y,
)
from lorabay.vllm_plugin.kernel.vectors import (
    combine,
    dot_products,
    finish_line,
    item,
    low_item,
    narrow,
    pointer,
    scratch,
    widen,
)

_FAST = {"reassoc", "contract", "nsz"}
"""Sums may be reordered; NaN and infinity stay what they are."""

SUMS_BYTES = COLUMNS * 4
"""Bytes of the sums of one row for one block of outputs."""
_TILE_BYTES = TILE * SUMS_BYTES

omp_thread = types.ExternalFunction("omp_get_thread_num", types.int32())
omp_threads = types.ExternalFunction("omp_get_num_threads", types.int32())
gomp_barrier = types.ExternalFunction("GOMP_barrier", types.void())


@njit
def share(total: int, thread: int, threads: int) -> tuple[int, int]:
    return total * thread // threads, total * (thread + 1) // threads


@njit
def _cost(panel: Any) -> Any:
    """Return the cost of one unit of work of a panel: its tiles, and reading the weights."""
    return 1 + (panel[COUNT] + TILE - 1) // TILE


@njit
def _shrink(
    call: Any, inputs: int, panel: Any, rows: Any, a: int, low: int, low_stride: int, dtype: Any
) -> None:
    """Compute low[i, r] = a[r] . x[i] for the rows i of a panel and RANKS rows r of A.

    `a` and `low` are addresses.
    """
    for first in range(panel[FIRST], panel[FIRST] + panel[COUNT], TILE):
        count = min(TILE, panel[FIRST] + panel[COUNT] - first)
        x0 = call[X] + rows[first] * call[X_STRIDE]
        x1 = call[X] + rows[first + min(1, count - 1)] * call[X_STRIDE]
        x2 = call[X] + rows[first + min(2, count - 1)] * call[X_STRIDE]
        x3 = call[X] + rows[first + count - 1] * call[X_STRIDE]
        place = low + first * low_stride

        # The count is a literal in each call, so that LLVM unrolls the loop over a tile's rows.
        if count == 4:
            dot_products(4, a, (x0, x1, x2, x3), inputs, place, low_stride, dtype)
        elif count == 3:
            dot_products(3, a, (x0, x1, x2, x3), inputs, place, low_stride, dtype)
        elif count == 2:
            dot_products(2, a, (x0, x1, x2, x3), inputs, place, low_stride, dtype)
        else:
            dot_products(1, a, (x0, x1, x2, x3), inputs, place, low_stride, dtype)


@njit
def low_row_bytes(module: Any, dtype: Any) -> Any:
    """Return the bytes of the numbers that one row shrinks to."""
    return module[SLICES] * module[MAX_RANK] * low_item(dtype)


@njit
def shrink_panels(
    call: Any,
    module: Any,
    table: Any,
    panels: Any,
    rows: Any,
    thread: int,
    threads: int,
    dtype: Any,
) -> None:
    """Compute this thread's share of all (panel, slice, RANKS rows of A) in that order."""
    total = 0
    for p in range(panels.shape[0]):
        for s in range(module[SLICES]):
            total += _cost(panels[p]) * (table[panels[p, SLOT], s, RANK] // RANKS)
    begin, end = share(total, thread, threads)

    position = 0
    for p in range(panels.shape[0]):
        for s in range(module[SLICES]):
            entry = table[panels[p, SLOT], s]
            for r in range(0, entry[RANK], RANKS):
                if begin <= position < end:
                    a = entry[A] + r * module[INPUTS] * item(dtype)
                    low = call[LOW] + (s * module[MAX_RANK] + r) * low_item(dtype)
                    _shrink(
                        call,
                        module[INPUTS],
                        panels[p],
                        rows,
                        a,
                        low,
                        low_row_bytes(module, dtype),
                        dtype,
                    )
                position += _cost(panels[p])


@njit
def finish(y: int, sums: int, size: int, entry: Any, begin: int, dtype: Any) -> None:
    """Compute y = y * factor + shift + sums for up to COLUMNS outputs, rounded once.

    `y` and `sums` are addresses, `begin` is the first output's place in its slice.
    """
    factor = entry[FACTOR] + 4 * begin if entry[FACTOR] != 0 else 0
    shift = entry[SHIFT] + 4 * begin if entry[SHIFT] != 0 else 0
    if size == COLUMNS:
        finish_line(y, sums, factor, shift, dtype)
    else:
        _finish_rest(y, sums, size, factor, shift, dtype)


@njit(fastmath=_FAST)
def _finish_rest(y: int, sums: int, size: int, factor: int, shift: int, dtype: Any) -> None:
    """Do the same for the last outputs of a slice."""
    outputs = carray(pointer(y), (size,), dtype)
    added = carray(pointer(sums), (size,), np.float32)
    if factor == 0:
        for o in range(size):
            outputs[o] = narrow(widen(outputs[o]) + added[o], outputs[o])
        return

    factors = carray(pointer(factor), (size,), np.float32)
    if shift != 0:
        shifts = carray(pointer(shift), (size,), np.float32)
        for o in range(size):
            added[o] += shifts[o]
    for o in range(size):
        outputs[o] = narrow(widen(outputs[o]) * factors[o] + added[o], outputs[o])


@njit
def _expand_tile(
    call: Any,
    entry: Any,
    rows: Any,
    low: int,
    low_stride: int,
    y: int,
    outputs: int,
    blocks: tuple[int, int],
    sums: int,
    dtype: Any,
) -> None:
    """Finish the outputs of some blocks of one slice for the rows of a tile, block by block.

    `low` is the address of the numbers that the first row shrinks to for this slice, `y` that of
    the slice's first output in row 0.
    """
    count = rows.size
    for block in range(blocks[0], blocks[1]):
        begin = block * COLUMNS
        b = entry[B] + begin * entry[RANK] * item(dtype)

        if count == 4:
            combine(4, b, entry[RANK], low, low_stride, sums, dtype)
        elif count == 3:
            combine(3, b, entry[RANK], low, low_stride, sums, dtype)
        elif count == 2:
            combine(2, b, entry[RANK], low, low_stride, sums, dtype)
        else:
            combine(1, b, entry[RANK], low, low_stride, sums, dtype)

        size = min(COLUMNS, outputs - begin)
        for i in range(count):
            place = y + rows[i] * call[Y_STRIDE] + begin * item(dtype)
            finish(place, sums + i * SUMS_BYTES, size, entry, begin, dtype)


@njit
def expand_panels(
    call: Any,
    module: Any,
    table: Any,
    panels: Any,
    rows: Any,
    thread: int,
    threads: int,
    dtype: Any,
) -> None:
    """Compute this thread's share of all (panel, slice, block of outputs) in that order.

    A panel is computed tile by tile, so that its outputs are written once.
    """
    widths = carray(pointer(module[WIDTHS]), (module[SLICES],), np.int64)
    sums = scratch(_TILE_BYTES)
    stride = low_row_bytes(module, dtype)

    all_blocks = total = 0
    for s in range(module[SLICES]):
        all_blocks += (widths[s] + COLUMNS - 1) // COLUMNS
    for p in range(panels.shape[0]):
        total += _cost(panels[p]) * all_blocks
    first, last = share(total, thread, threads)

    position = 0
    for p in range(panels.shape[0]):
        y, cost, end = call[Y], _cost(panels[p]), panels[p, FIRST] + panels[p, COUNT]
        for s in range(module[SLICES]):
            entry = table[panels[p, SLOT], s]
            blocks = (widths[s] + COLUMNS - 1) // COLUMNS
            own = begun(first - position, cost, blocks), begun(last - position, cost, blocks)

            if own[0] < own[1] and entry[RANK] > 0:
                low = call[LOW] + s * module[MAX_RANK] * low_item(dtype)
                for tile in range(panels[p, FIRST], end, TILE):
                    of_tile = rows[tile : min(tile + TILE, end)]
                    _expand_tile(
                        call,
                        entry,
                        of_tile,
                        low + tile * stride,
                        stride,
                        y,
                        widths[s],
                        own,
                        sums,
                        dtype,
                    )
            position += cost * blocks
            y += widths[s] * item(dtype)


@njit
def begun(position: int, cost: int, blocks: int) -> int:
    """Return how many of `blocks`, which cost `cost` each, begin before `position`."""
    return min(max((position + cost - 1) // cost, 0), blocks)


@njit
def update(call: Any, dtype: Any) -> None:
    """Compute this thread's share of the updates that the argument block `call` describes."""
    thread, threads = omp_thread(), omp_threads()
    module = carray(pointer(call[MODULE]), (MODULE_FIELDS,), np.int64)
    batch = carray(pointer(call[BATCH]), (BATCH_FIELDS,), np.int64)
    table = carray(pointer(module[TABLE]), (module[SLOTS], module[SLICES], FIELDS), np.int64)
    rows = carray(pointer(batch[ROWS]), (batch[ROW_COUNT],), np.int64)
    panels = carray(pointer(batch[PANELS]), (batch[PANEL_COUNT], 3), np.int64)

    # Expand reads what other threads have shrunk.
    shrink_panels(call, module, table, panels, rows, thread, threads, dtype)
    gomp_barrier()
    expand_panels(call, module, table, panels, rows, thread, threads, dtype)

"""The row kernel's outer loops for prompts: long runs of rows of one adapter, tile by tile.

As `loops`, which computes all other rows, and with its results: what a row shrinks to is rounded to
bfloat16. numba compiles these functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit

from lorabay.vllm_plugin.kernel.arguments import (
    BATCH,
    BATCH_FIELDS,
    COLUMNS,
    COUNT,
    FIELDS,
    FIRST,
    INPUTS,
    LONG_PANEL,
    LONG_PANEL_COUNT,
    LONG_PANELS,
    LOW,
    MAX_RANK,
    MODULE,
    MODULE_FIELDS,
    PANEL_COUNT,
    PANELS,
    RANK,
    ROW_COUNT,
    ROWS,
    SLICES,
    SLOT,
    SLOTS,
    TABLE,
    WIDTHS,
    X_STRIDE,
    Y_STRIDE,
    A,
    B,
    X,
    Y,
)
from lorabay.vllm_plugin.kernel.loops import (
    SUMS_BYTES,
    begun,
    expand_panels,
    finish,
    gomp_barrier,
    low_row_bytes,
    omp_thread,
    omp_threads,
    share,
    shrink_panels,
)
from lorabay.vllm_plugin.kernel.tiles import (
    CONFIGURATION_BYTES,
    DEEP,
    DEPTH,
    SIDE,
    TILE_BYTES,
    add_tile_products,
    combine_tiles,
    configure,
    load_configuration,
    pack_tile,
    store_configuration,
)
from lorabay.vllm_plugin.kernel.vectors import item, low_item, narrow, pointer, scratch

_PACKED_BYTES = DEEP // DEPTH * TILE_BYTES
_PANEL_BYTES = LONG_PANEL // SIDE * TILE_BYTES
_BLOCK_BYTES = SIDE * SUMS_BYTES


@njit
def _tile_row(tile: int, count: int) -> int:
    """Return the first row of a tile: the last one overlaps the one before."""
    return min(tile * SIDE, count - SIDE)


@njit
def _shrink(
    call: Any,
    inputs: int,
    panel: Any,
    rows: Any,
    a: int,
    ranks: int,
    low: int,
    low_stride: int,
    dtype: Any,
) -> None:
    """Compute low[i, r] = a[r] . x[i] for all rows i of a panel and up to SIDE rows r of A."""
    packed, sums = scratch(_PACKED_BYTES), scratch(_PANEL_BYTES)
    count, stride = panel[COUNT], call[X_STRIDE]
    tiles = (count + SIDE - 1) // SIDE
    x = call[X] + rows[panel[FIRST]] * stride

    for begin in range(0, inputs, DEEP):
        steps = min(DEEP, inputs - begin) // DEPTH
        for step in range(steps):
            place = a + (begin + step * DEPTH) * item(dtype)
            pack_tile(place, inputs * item(dtype), ranks, packed + step * TILE_BYTES)

        column = x + begin * item(dtype)
        for tile in range(0, tiles, 4):
            x0 = column + _tile_row(tile, count) * stride
            x1 = column + _tile_row(tile + 1, count) * stride
            x2 = column + _tile_row(tile + 2, count) * stride
            x3 = column + _tile_row(tile + 3, count) * stride
            of_tile = sums + tile * TILE_BYTES

            # The count is a literal in each call, as in `loops`.
            if tiles - tile >= 4:
                add_tile_products(4, (x0, x1, x2, x3), stride, packed, steps, of_tile, begin)
            elif tiles - tile == 3:
                add_tile_products(3, (x0, x1, x2, x3), stride, packed, steps, of_tile, begin)
            elif tiles - tile == 2:
                add_tile_products(2, (x0, x1, x2, x3), stride, packed, steps, of_tile, begin)
            else:
                add_tile_products(1, (x0, x1, x2, x3), stride, packed, steps, of_tile, begin)

    for tile in range(tiles):
        of_tile = carray(pointer(sums + tile * TILE_BYTES), (SIDE, SIDE), np.float32)
        first = panel[FIRST] + _tile_row(tile, count)
        for i in range(SIDE):
            of_row = carray(pointer(low + (first + i) * low_stride), (ranks,), dtype)
            for r in range(ranks):
                of_row[r] = narrow(of_tile[i, r], of_row[r])


@njit
def _shrink_cost(panel: Any) -> Any:
    """Return the cost of SIDE ranks of a panel: to pack them, and the products."""
    return 6 + (panel[COUNT] + SIDE - 1) // SIDE


@njit
def _shrink_long(
    call: Any,
    module: Any,
    table: Any,
    panels: Any,
    rows: Any,
    thread: int,
    threads: int,
    dtype: Any,
) -> None:
    """Compute this thread's share of all (panel, slice, SIDE rows of A) in that order."""
    total = 0
    for p in range(panels.shape[0]):
        for s in range(module[SLICES]):
            rank = table[panels[p, SLOT], s, RANK]
            total += _shrink_cost(panels[p]) * ((rank + SIDE - 1) // SIDE)
    begin, end = share(total, thread, threads)

    position = 0
    for p in range(panels.shape[0]):
        for s in range(module[SLICES]):
            entry = table[panels[p, SLOT], s]
            for r in range(0, entry[RANK], SIDE):
                if begin <= position < end:
                    a = entry[A] + r * module[INPUTS] * item(dtype)
                    low = call[LOW] + (s * module[MAX_RANK] + r) * low_item(dtype)
                    ranks = min(SIDE, entry[RANK] - r)
                    stride = low_row_bytes(module, dtype)
                    _shrink(call, module[INPUTS], panels[p], rows, a, ranks, low, stride, dtype)
                position += _shrink_cost(panels[p])


@njit
def _expand(
    call: Any,
    entry: Any,
    panel: Any,
    rows: Any,
    low: int,
    low_stride: int,
    y: int,
    outputs: int,
    blocks: tuple[int, int],
    dtype: Any,
) -> None:
    """Finish the outputs of some blocks of one slice for all rows of a panel.

    `low` is the address of the numbers that the first row of all shrinks to for this slice, `y`
    that of the slice's first output in row 0.
    """
    sums = scratch(_BLOCK_BYTES)
    count = panel[COUNT]

    # Row by row of tiles, so that each row's outputs are read and written in their order.
    for tile in range((count + SIDE - 1) // SIDE):
        row = _tile_row(tile, count)
        first = panel[FIRST] + row

        for block in range(blocks[0], blocks[1]):
            begin = block * COLUMNS
            size = min(COLUMNS, outputs - begin)
            b = entry[B] + begin * entry[RANK] * item(dtype)
            combine_tiles(b, entry[RANK], low + first * low_stride, low_stride, sums)

            # Rows that the tile before has finished are left out.
            for i in range(tile * SIDE - row, SIDE):
                place = y + rows[first + i] * call[Y_STRIDE] + begin * item(dtype)
                finish(place, sums + i * SUMS_BYTES, size, entry, begin, dtype)


@njit
def _expand_cost(panel: Any) -> Any:
    return 1 + (panel[COUNT] + SIDE - 1) // SIDE


@njit
def _expand_long(
    call: Any,
    module: Any,
    table: Any,
    panels: Any,
    rows: Any,
    thread: int,
    threads: int,
    dtype: Any,
) -> None:
    """Compute this thread's share of all (panel, slice, block of outputs) in that order."""
    widths = carray(pointer(module[WIDTHS]), (module[SLICES],), np.int64)
    stride = low_row_bytes(module, dtype)
    configuration = scratch(CONFIGURATION_BYTES)

    all_blocks = total = 0
    for s in range(module[SLICES]):
        all_blocks += (widths[s] + COLUMNS - 1) // COLUMNS
    for p in range(panels.shape[0]):
        total += _expand_cost(panels[p]) * all_blocks
    first, last = share(total, thread, threads)

    position = configured = 0
    for p in range(panels.shape[0]):
        y, cost = call[Y], _expand_cost(panels[p])
        for s in range(module[SLICES]):
            entry = table[panels[p, SLOT], s]
            blocks = (widths[s] + COLUMNS - 1) // COLUMNS
            own = begun(first - position, cost, blocks), begun(last - position, cost, blocks)

            if own[0] < own[1] and entry[RANK] > 0:
                if configured != entry[RANK]:
                    configure(configuration, entry[RANK])
                    configured = entry[RANK]
                low = call[LOW] + s * module[MAX_RANK] * low_item(dtype)
                _expand(call, entry, panels[p], rows, low, stride, y, widths[s], own, dtype)
            position += cost * blocks
            y += widths[s] * item(dtype)


@njit
def update_with_tiles(call: Any, dtype: Any) -> None:
    """Do what `loops.update` does, with tiles where a batch has long panels."""
    thread, threads = omp_thread(), omp_threads()
    module = carray(pointer(call[MODULE]), (MODULE_FIELDS,), np.int64)
    batch = carray(pointer(call[BATCH]), (BATCH_FIELDS,), np.int64)
    table = carray(pointer(module[TABLE]), (module[SLOTS], module[SLICES], FIELDS), np.int64)
    rows = carray(pointer(batch[ROWS]), (batch[ROW_COUNT],), np.int64)
    panels = carray(pointer(batch[PANELS]), (batch[PANEL_COUNT], 3), np.int64)
    long_panels = carray(pointer(batch[LONG_PANELS]), (batch[LONG_PANEL_COUNT], 3), np.int64)
    has_long = batch[LONG_PANEL_COUNT] > 0
    in_tiles = has_long and module[INPUTS] % DEPTH == 0

    configuration, former = scratch(CONFIGURATION_BYTES), scratch(CONFIGURATION_BYTES)
    if has_long:
        store_configuration(former)

    shrink_panels(call, module, table, panels, rows, thread, threads, dtype)
    if in_tiles:
        configure(configuration, DEPTH)
        _shrink_long(call, module, table, long_panels, rows, thread, threads, dtype)
    elif has_long:
        shrink_panels(call, module, table, long_panels, rows, thread, threads, dtype)

    # Expand reads what other threads have shrunk.
    gomp_barrier()
    expand_panels(call, module, table, panels, rows, thread, threads, dtype)
    if has_long:
        _expand_long(call, module, table, long_panels, rows, thread, threads, dtype)
        load_configuration(former)

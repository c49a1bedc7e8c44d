"""Tiles of bfloat16, where this processor has them; the products are compared in
test_tile_loops.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit

from lorabay.vllm_plugin.kernel import tiles
from lorabay.vllm_plugin.kernel.tiles import DEPTH, LINE_BYTES, SIDE, TILE_BYTES, pack_tile

with_tiles = pytest.mark.skipif(
    not tiles.are_available(), reason="this processor multiplies no tiles (AMX)"
)


@njit
def pack(a: int, stride: int, rows: int, packed: int) -> None:
    pack_tile(a, stride, rows, packed)


@with_tiles
@pytest.mark.parametrize("rows", [1, 4, 15, SIDE])
def test_pairs_of_a_row_become_a_column(rows: int) -> None:
    """Nothing behind the last row is read."""
    a = np.arange(rows * DEPTH, dtype=np.uint16).reshape(rows, DEPTH)
    memory = np.zeros(TILE_BYTES + LINE_BYTES, np.uint8)
    first = -memory.ctypes.data % LINE_BYTES
    packed = memory[first : first + TILE_BYTES].view(np.uint16).reshape(SIDE, SIDE, 2)
    pack(a.ctypes.data, DEPTH * 2, rows, packed.ctypes.data)
    pairs = a.reshape(rows, SIDE, 2).transpose(1, 0, 2)
    assert np.array_equal(packed[:, :rows], pairs)


def test_nobody_uses_tiles_that_numba_does_not_compile_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on every processor without them."""
    monkeypatch.setattr(config, "CPU_FEATURES", "+avx512f,+avx512bf16")
    tiles.are_available.cache_clear()
    try:
        assert not tiles.are_available()
    finally:
        tiles.are_available.cache_clear()

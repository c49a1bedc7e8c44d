"""The LoRA update of a few rows of a batch in one call: every slice, shrink and expand, each row with its own adapter.

Decoding needs hundreds of tiny products a step, and a matmul call costs more than such a product. This kernel is
compiled by numba, which vLLM depends on, so that no C++ compiler is needed. It runs on the OpenMP threads that torch
has already started: `GOMP_parallel` of torch's own libgomp calls it in each of them. Loops over a tile are written out
for one, two and four rows, since that is what becomes vector instructions; a tile of three computes its last row twice.
All of it stands in this file, because numba keeps compiled code for as long as the file that asks for it is the same.

Shapes of one slice: A (rank, inputs), B transposed (rank, outputs), factor and shift (outputs,). Values are bfloat16
(as their uint16 patterns) or float32; sums are float32 and rounded once. Knows neither torch modules nor vLLM.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llvmlite.binding
import numpy as np
import torch
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

TILE = 4
"""Rows of one adapter that are computed together, so that its weights are read and widened once for them."""

COLUMNS = 128
"""Outputs of a tile that are summed together; the sums stay in the first-level cache."""

# Fields of the call's argument block, of a slice's entry in the layer's table, and of a tile, all int64.
(
    Y,
    X,
    Y_STRIDE,
    X_STRIDE,
    ITEM,
    INPUTS,
    SLICES,
    TABLE,
    SLOTS,
    WIDTHS,
    ROWS,
    ROW_COUNT,
    TILES,
    TILE_COUNT,
    LOW,
    WIDE,
    MAX_RANK,
) = range(17)  # strides and ITEM in bytes
ARGUMENTS = 17
A, B, RANK, FACTOR, SHIFT = range(5)  # addresses, and the rank; 0 is no address
FIELDS = 5
SLOT, FIRST, COUNT = range(3)

_FAST = {"reassoc", "contract", "nsz"}
"""Sums may be reordered; NaN and infinity stay what they are."""

_omp_thread = types.ExternalFunction("omp_get_thread_num", types.int32())
_omp_threads = types.ExternalFunction("omp_get_num_threads", types.int32())
_gomp_barrier = types.ExternalFunction("GOMP_barrier", types.void())


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


@intrinsic
def _as_float(typingctx: Any, bits: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), codegen


@intrinsic
def _as_bits(typingctx: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), codegen


def _widen(stored: Any) -> Any:
    """A stored value as float32."""


def _narrow(value: Any, stored: Any) -> Any:
    """A float32 value in the type of `stored`, rounded to nearest even."""


@overload(_widen)
def _overload_widen(stored: Any) -> Any:
    def from_bfloat16(stored: Any) -> Any:
        return _as_float(np.uint32(stored) << np.uint32(16))

    def from_float32(stored: Any) -> Any:
        return stored

    return from_bfloat16 if stored == types.uint16 else from_float32


@overload(_narrow)
def _overload_narrow(value: Any, stored: Any) -> Any:
    def to_bfloat16(value: Any, stored: Any) -> Any:
        bits = _as_bits(value)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        return np.uint16(0x7FC0) if is_nan else np.uint16(rounded)

    def to_float32(value: Any, stored: Any) -> Any:
        return value

    return to_bfloat16 if stored == types.uint16 else to_float32


@njit(fastmath=_FAST)
def _shrink(a: Any, wide: Any, row: int, count: int, low: Any, column: int) -> None:
    """low[row + i, column] = a . wide[row + i], for the `count` rows of a tile."""
    x0 = wide[row]
    s0 = np.float32(0)
    if count == 1:
        for k in range(a.size):
            s0 += _widen(a[k]) * x0[k]
        low[row, column] = s0
        return
    x1, s1 = wide[row + 1], np.float32(0)
    if count == 2:
        for k in range(a.size):
            value = _widen(a[k])
            s0 += value * x0[k]
            s1 += value * x1[k]
        low[row, column], low[row + 1, column] = s0, s1
        return
    last = row + count - 1
    x2, x3 = wide[row + 2], wide[last]
    s2 = s3 = np.float32(0)
    for k in range(a.size):
        value = _widen(a[k])
        s0 += value * x0[k]
        s1 += value * x1[k]
        s2 += value * x2[k]
        s3 += value * x3[k]
    low[row, column], low[row + 1, column], low[row + 2, column], low[last, column] = s0, s1, s2, s3


@njit(fastmath=_FAST)
def _expand(b: Any, low: Any, first: int, outputs: int, sums: Any) -> None:
    """sums[i * COLUMNS + o] = low[i] . B^T[:, first + o]: `outputs` (at most COLUMNS) of each row of a tile.

    b is B^T (rank, all outputs), low (rows of the tile, rank), sums (TILE * COLUMNS,).
    """
    count, rank = low.shape
    sums[: count * COLUMNS] = np.float32(0)
    whole = rank - rank % 4
    for r in range(0, whole, 4):
        # Slices, so that the inner loops count from zero: an index that might be negative is not vectorised.
        b0, b1 = b[r, first : first + outputs], b[r + 1, first : first + outputs]
        b2, b3 = b[r + 2, first : first + outputs], b[r + 3, first : first + outputs]
        if count == 1:
            _add_to_one(b0, b1, b2, b3, low, r, sums)
        elif count == 2:
            _add_to_two(b0, b1, b2, b3, low, r, sums)
        else:
            _add_to_four(b0, b1, b2, b3, low, r, sums)
    for r in range(whole, rank):
        values = b[r, first : first + outputs]
        for i in range(count):
            factor, part = low[i, r], sums[i * COLUMNS : (i + 1) * COLUMNS]
            for o in range(outputs):
                part[o] += factor * _widen(values[o])


@njit(fastmath=_FAST)
def _add_to_one(b0: Any, b1: Any, b2: Any, b3: Any, low: Any, r: int, sums: Any) -> None:
    p0, p1, p2, p3 = low[0, r], low[0, r + 1], low[0, r + 2], low[0, r + 3]
    for o in range(b0.size):
        sums[o] += p0 * _widen(b0[o]) + p1 * _widen(b1[o]) + p2 * _widen(b2[o]) + p3 * _widen(b3[o])


@njit(fastmath=_FAST)
def _add_to_two(b0: Any, b1: Any, b2: Any, b3: Any, low: Any, r: int, sums: Any) -> None:
    p0, p1, p2, p3 = low[0, r], low[0, r + 1], low[0, r + 2], low[0, r + 3]
    q0, q1, q2, q3 = low[1, r], low[1, r + 1], low[1, r + 2], low[1, r + 3]
    for o in range(b0.size):
        v0, v1, v2, v3 = _widen(b0[o]), _widen(b1[o]), _widen(b2[o]), _widen(b3[o])
        sums[o] += p0 * v0 + p1 * v1 + p2 * v2 + p3 * v3
        sums[COLUMNS + o] += q0 * v0 + q1 * v1 + q2 * v2 + q3 * v3


@njit(fastmath=_FAST)
def _add_to_four(b0: Any, b1: Any, b2: Any, b3: Any, low: Any, r: int, sums: Any) -> None:
    last = low.shape[0] - 1
    p0, p1, p2, p3 = low[0, r], low[0, r + 1], low[0, r + 2], low[0, r + 3]
    q0, q1, q2, q3 = low[1, r], low[1, r + 1], low[1, r + 2], low[1, r + 3]
    t0, t1, t2, t3 = low[2, r], low[2, r + 1], low[2, r + 2], low[2, r + 3]
    u0, u1, u2, u3 = low[last, r], low[last, r + 1], low[last, r + 2], low[last, r + 3]
    for o in range(b0.size):
        v0, v1, v2, v3 = _widen(b0[o]), _widen(b1[o]), _widen(b2[o]), _widen(b3[o])
        sums[o] += p0 * v0 + p1 * v1 + p2 * v2 + p3 * v3
        sums[COLUMNS + o] += q0 * v0 + q1 * v1 + q2 * v2 + q3 * v3
        sums[2 * COLUMNS + o] += t0 * v0 + t1 * v1 + t2 * v2 + t3 * v3
        sums[3 * COLUMNS + o] += u0 * v0 + u1 * v1 + u2 * v2 + u3 * v3


@njit(fastmath=_FAST)
def _finish(y: Any, sums: Any, entry: Any, begin: int) -> None:
    """y = y * factor + shift + sums, rounded once."""
    size = sums.size
    if entry[FACTOR] == 0:
        for o in range(size):
            y[o] = _narrow(_widen(y[o]) + sums[o], y[o])
        return
    factor = carray(_pointer(entry[FACTOR] + 4 * begin), (size,), np.float32)
    if entry[SHIFT] != 0:
        shift = carray(_pointer(entry[SHIFT] + 4 * begin), (size,), np.float32)
        for o in range(size):
            sums[o] += shift[o]
    for o in range(size):
        y[o] = _narrow(_widen(y[o]) * factor[o] + sums[o], y[o])


@njit
def _share(total: int, thread: int, threads: int) -> tuple[int, int]:
    return total * thread // threads, total * (thread + 1) // threads


@njit
def _widen_rows(args: Any, rows: Any, wide: Any, thread: int, threads: int, dtype: Any) -> None:
    first, last = _share(rows.size, thread, threads)
    for i in range(first, last):
        x = carray(_pointer(args[X] + rows[i] * args[X_STRIDE]), (args[INPUTS],), dtype)
        for k in range(x.size):
            wide[i, k] = _widen(x[k])


@njit
def _shrink_tiles(
    args: Any, table: Any, tiles: Any, wide: Any, low: Any, thread: int, threads: int, dtype: Any
) -> None:
    """Each thread computes its share of all (tile, slice, rank) in that order."""
    slices, width = args[SLICES], args[MAX_RANK]
    total = 0
    for t in range(args[TILE_COUNT]):
        for s in range(slices):
            total += table[tiles[t, SLOT], s, RANK]
    first, last = _share(total, thread, threads)
    position = 0
    for t in range(args[TILE_COUNT]):
        for s in range(slices):
            entry = table[tiles[t, SLOT], s]
            rank = entry[RANK]
            begin, end = max(first - position, 0), min(last - position, rank)
            position += rank
            if begin < end:
                a = carray(_pointer(entry[A]), (rank, args[INPUTS]), dtype)
                for r in range(begin, end):
                    _shrink(a[r], wide, tiles[t, FIRST], tiles[t, COUNT], low, s * width + r)


@njit
def _expand_tiles(
    args: Any, table: Any, tiles: Any, rows: Any, low: Any, sums: Any, thread: int, threads: int, dtype: Any
) -> None:
    """Each thread computes its share of all (tile, slice, block of outputs) in that order."""
    slices = args[SLICES]
    widths = carray(_pointer(args[WIDTHS]), (slices,), np.int64)
    blocks = 0
    for s in range(slices):
        blocks += (widths[s] + COLUMNS - 1) // COLUMNS
    first, last = _share(blocks * args[TILE_COUNT], thread, threads)
    position = 0
    for t in range(args[TILE_COUNT]):
        offset = 0
        for s in range(slices):
            entry = table[tiles[t, SLOT], s]
            for begin in range(0, widths[s], COLUMNS):
                if first <= position < last and entry[RANK] > 0:
                    outputs = min(COLUMNS, widths[s] - begin)
                    b = carray(_pointer(entry[B]), (entry[RANK], widths[s]), dtype)
                    row, column = tiles[t, FIRST], s * args[MAX_RANK]
                    of_tile = low[row : row + tiles[t, COUNT], column : column + entry[RANK]]
                    _expand(b, of_tile, begin, outputs, sums)
                    for i in range(tiles[t, COUNT]):
                        place = args[Y] + rows[row + i] * args[Y_STRIDE] + (offset + begin) * args[ITEM]
                        y = carray(_pointer(place), (outputs,), dtype)
                        _finish(y, sums[i * COLUMNS : i * COLUMNS + outputs], entry, begin)
                position += 1
            offset += widths[s]


@njit
def _update(args: Any, dtype: Any) -> None:
    thread, threads = _omp_thread(), _omp_threads()
    table = carray(_pointer(args[TABLE]), (args[SLOTS], args[SLICES], FIELDS), np.int64)
    rows = carray(_pointer(args[ROWS]), (args[ROW_COUNT],), np.int64)
    tiles = carray(_pointer(args[TILES]), (args[TILE_COUNT], 3), np.int64)
    wide = carray(_pointer(args[WIDE]), (args[ROW_COUNT], args[INPUTS]), np.float32)
    low = carray(_pointer(args[LOW]), (args[ROW_COUNT], args[SLICES] * args[MAX_RANK]), np.float32)
    _widen_rows(args, rows, wide, thread, threads, dtype)
    _gomp_barrier()
    _shrink_tiles(args, table, tiles, wide, low, thread, threads, dtype)
    _gomp_barrier()
    sums = np.empty(TILE * COLUMNS, np.float32)
    _expand_tiles(args, table, tiles, rows, low, sums, thread, threads, dtype)


def argument_block(inputs: int, table: NDArray[np.int64], widths: NDArray[np.int64]) -> ctypes.Array[ctypes.c_int64]:
    """The part of the arguments that is the same in every call for one module; the caller keeps the arrays alive."""
    block = (ctypes.c_int64 * ARGUMENTS)()
    block[INPUTS], block[SLOTS], block[SLICES] = inputs, table.shape[0], table.shape[1]
    block[TABLE], block[WIDTHS] = table.ctypes.data, widths.ctypes.data
    return block


def run(block: ctypes.Array[ctypes.c_int64], bfloat16: bool) -> None:
    """One call, on as many threads as torch uses."""
    kernel, parallel = compiled(bfloat16)
    parallel(kernel, ctypes.addressof(block), torch.get_num_threads(), 0)


def get_ready(bfloat16: bool) -> None:
    """Compile what `run` needs, or take it from the cache, so that no step waits for it; seconds the first time."""
    if is_available():
        compiled(bfloat16)
    else:
        logger.warning("torch has no OpenMP runtime of its own (libgomp): adapters take matmuls for few rows, slower")


def is_available() -> bool:
    """Whether the kernel can share the threads of torch's operators."""
    return _torch_gomp() is not None


@cache
def compiled(bfloat16: bool) -> tuple[int, Any]:
    """The kernel's address for values of one type, and what calls it on all threads; takes seconds the first time."""
    gomp = _torch_gomp()
    assert gomp is not None  # noqa: S101
    for name in ("omp_get_thread_num", "omp_get_num_threads", "GOMP_barrier"):
        llvmlite.binding.add_symbol(name, ctypes.cast(getattr(gomp, name), ctypes.c_void_p).value)
    parallel = gomp.GOMP_parallel
    parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    parallel.restype = None
    return (_compile_bfloat16() if bfloat16 else _compile_float32()).address, parallel


def _compile_bfloat16() -> Any:
    def update(block: Any) -> None:
        _update(carray(block, (ARGUMENTS,)), np.uint16)

    return _callback(update)


def _compile_float32() -> Any:
    def update(block: Any) -> None:
        _update(carray(block, (ARGUMENTS,)), np.float32)

    return _callback(update)


def _callback(update: Any) -> Any:
    """`update` compiled, from numba's cache where there is a place for one."""
    signature = types.void(types.CPointer(types.int64))
    try:
        return cfunc(signature, cache=True)(update)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cfunc(signature)(update)


def use_one_thread() -> None:
    """Keep torch's operators in the calling thread from using others; what other threads do stays as it is. Does
    nothing where torch's runtime is not known."""
    if (gomp := _torch_gomp()) is not None:
        gomp.omp_set_num_threads(1)


@cache
def _torch_gomp() -> ctypes.CDLL | None:
    """The OpenMP runtime that torch runs on, so that both share one set of threads; None where torch brings none."""
    torch_folder = Path(torch.__file__).parent
    found = [*(torch_folder / "lib").glob("libgomp*.so*"), *torch_folder.parent.glob("torch.libs/libgomp*.so*")]
    return ctypes.CDLL(str(found[0])) if found else None

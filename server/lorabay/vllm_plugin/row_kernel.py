"""The LoRA update of a batch in one call: every slice, shrink and expand, each row with its own adapter.

Decoding needs hundreds of tiny products a step, and a matmul call costs more than such a product. This kernel is
compiled by numba, which vLLM depends on, so that no C++ compiler is needed. It runs on the OpenMP threads that torch
has already started: `GOMP_parallel` of torch's own libgomp calls it in each of them. The two inner loops are written
as vector instructions of LLVM, which become those of the processor. All of it stands in this file, because numba
keeps compiled code for as long as the file that asks for it is the same.

Shapes of one slice: A (rank, inputs), B in blocks of the order in which it is read (blocks, rank / t, COLUMNS, t),
where t is `ranks_together`, factor and shift (outputs,). Ranks are multiples of RANKS. Values are bfloat16 (as their
uint16 patterns) or float32, sums are float32. A processor that multiplies pairs of bfloat16 gets what a row shrinks to
in bfloat16, as vLLM's own kernels do. Knows neither torch modules nor vLLM.
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
from numba import carray, cfunc, config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

PANEL = 32
"""Rows of one adapter for which its weights are read from memory once."""

TILE = 4
"""Rows of a panel that are computed together, in registers."""

RANKS = 4
"""Rows of A that are computed together, in registers."""

LANES = 16
"""Numbers of a vector; a processor with smaller registers takes several for one."""

COLUMNS = 4 * LANES
"""Outputs that are computed together, in registers: the width of B's blocks."""

AHEAD = 8192
"""Bytes of A that are asked for before they are read, and half as many of B: some 10 % of a step's updates."""

LINE = 64
"""Bytes of a cache line."""

# Fields of the three argument blocks, of a slice's entry in the module's table, and of a panel, all int64.
Y, X, Y_STRIDE, X_STRIDE, MODULE, BATCH, LOW = range(7)  # strides in bytes
CALL = 7
INPUTS, SLICES, SLOTS, TABLE, WIDTHS, MAX_RANK = range(6)
MODULE_FIELDS = 6
ROWS, ROW_COUNT, PANELS, PANEL_COUNT = range(4)
BATCH_FIELDS = 4
A, B, RANK, FACTOR, SHIFT = range(5)  # addresses, and the rank; 0 is no address
FIELDS = 5
SLOT, FIRST, COUNT = range(3)

_FAST = {"reassoc", "contract", "nsz"}
"""Sums may be reordered; NaN and infinity stay what they are."""

_omp_thread = types.ExternalFunction("omp_get_thread_num", types.int32())
_omp_threads = types.ExternalFunction("omp_get_num_threads", types.int32())
_gomp_barrier = types.ExternalFunction("GOMP_barrier", types.void())

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INT16, _INT32, _INT64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_HALVES, _WORDS = ir.VectorType(_INT16, LANES), ir.VectorType(_INT32, LANES)


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite has no class for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_PAIRS = ir.VectorType(_BFloat(), 2 * LANES)


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


@intrinsic
def _tile_of_sums(typingctx: Any) -> Any:
    """The address of TILE * COLUMNS numbers on the stack of the calling function."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = cgutils.alloca_once(builder, ir.ArrayType(ir.FloatType(), TILE * COLUMNS))
        place.align = 64
        return builder.bitcast(place, cgutils.voidptr_t)

    return types.voidptr(), codegen


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


@intrinsic
def _rounded(typingctx: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.fptrunc(args[0], _BFloat()), ir.IntType(16))

    return types.uint16(types.float32), codegen


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

    def to_bfloat16_natively(value: Any, stored: Any) -> Any:
        return _rounded(value)

    def to_float32(value: Any, stored: Any) -> Any:
        return value

    if stored != types.uint16:
        return to_float32
    return to_bfloat16_natively if multiplies_bfloat16() else to_bfloat16


def multiplies_bfloat16() -> bool:
    """Whether the processor has products of bfloat16 pairs summed in float32 (AVX512_BF16)."""
    features = config.CPU_FEATURES  # what numba compiles for, where somebody restricts it
    if features is None:
        features = llvmlite.binding.get_host_cpu_features().flatten()
    return "+avx512bf16" in features.split(",") and "+avx512f" in features.split(",")


def ranks_together(dtype: torch.dtype) -> int:
    """How many ranks of an output lie side by side in B: what is multiplied together."""
    return 2 if dtype is torch.bfloat16 and multiplies_bfloat16() else 1


def _item(dtype: Any) -> Any:
    """Bytes of a value."""


def _low_item(dtype: Any) -> Any:
    """Bytes of a number that a row shrinks to."""


@overload(_item)
def _overload_item(dtype: Any) -> Any:
    size = dtype.dtype.bitwidth // 8

    def item(dtype: Any) -> Any:
        return size

    return item


@overload(_low_item)
def _overload_low_item(dtype: Any) -> Any:
    size = 2 if _in_pairs(dtype) else 4

    def low_item(dtype: Any) -> Any:
        return size

    return low_item


def _in_pairs(dtype: Any) -> bool:
    return _is_bfloat16(dtype) and multiplies_bfloat16()


def _is_bfloat16(dtype: Any) -> bool:
    return bool(dtype.dtype == types.uint16)


def _load(builder: Any, address: Any, kind: ir.Type, align: int) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align)


def _load_floats(builder: Any, address: Any, bfloat16: bool) -> Any:
    """LANES values as float32."""
    return _widened(builder, _load(builder, address, _HALVES, 2)) if bfloat16 else _load(builder, address, _FLOATS, 4)


def _widened(builder: Any, halves: Any) -> Any:
    high = builder.shl(builder.zext(halves, _WORDS), ir.Constant(_WORDS, [16] * LANES))
    return builder.bitcast(high, _FLOATS)


def _function(builder: Any, name: str, result: ir.Type, *arguments: ir.Type) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _add_products(builder: Any, sums: Any, left: Any, right: Any) -> Any:
    """sums + left * right, number by number."""
    fma = _function(builder, f"llvm.fmuladd.v{LANES}f32", _FLOATS, _FLOATS, _FLOATS, _FLOATS)
    return builder.call(fma, [left, right, sums])


def _total(builder: Any, sums: Any) -> Any:
    add = _function(builder, f"llvm.vector.reduce.fadd.v{LANES}f32", ir.FloatType(), ir.FloatType(), _FLOATS)
    return builder.call(add, [ir.Constant(ir.FloatType(), -0.0), sums], fastmath=("reassoc",))


def _zeros(builder: Any, count: int) -> list[Any]:
    """Variables of vectors, which LLVM keeps in registers."""
    variables = [cgutils.alloca_once(builder, _FLOATS) for _ in range(count)]
    for variable in variables:
        builder.store(ir.Constant(_FLOATS, [0.0] * LANES), variable)
    return variables


def _prefetch(builder: Any, address: Any) -> None:
    """Ask for the cache line of an address; one that is not mapped does no harm."""
    pointer = ir.IntType(8).as_pointer()
    ask = _function(builder, "llvm.prefetch.p0", ir.VoidType(), pointer, _INT32, _INT32, _INT32)
    to_read, second_level, data = (ir.Constant(_INT32, value) for value in (0, 2, 1))
    builder.call(ask, [builder.inttoptr(address, pointer), to_read, second_level, data])


def _plus(builder: Any, address: Any, size: int) -> Any:
    return builder.add(address, ir.Constant(_INT64, size))


def _add_pairs(builder: Any, sums: Any, left: Any, right: Any) -> Any:
    """sums + the products of LANES pairs of bfloat16."""
    dot = _function(builder, "llvm.x86.avx512bf16.dpbf16ps.512", _FLOATS, _FLOATS, _PAIRS, _PAIRS)
    return builder.call(dot, [sums, left, right])


def _masked(builder: Any, address: Any, kind: ir.VectorType, name: str, mask: Any) -> Any:
    """The values of a vector that the mask selects, zeros for the others, which are not read."""
    pointer, flags = kind.as_pointer(), ir.VectorType(ir.IntType(1), kind.count)
    load = _function(builder, f"llvm.masked.load.v{kind.count}{name}.p0", kind, pointer, _INT32, flags, kind)
    none = ir.Constant(kind, None)
    return builder.call(load, [builder.inttoptr(address, pointer), ir.Constant(_INT32, 2), mask, none])


class _Vectors:
    """How the values of one type are read and multiplied."""

    def __init__(self, dtype: Any) -> None:
        self.bfloat16, self.in_pairs = _is_bfloat16(dtype), _in_pairs(dtype)
        self.size = 2 * LANES if self.bfloat16 and not self.in_pairs else 4 * LANES
        self.values = 2 * LANES if self.in_pairs else LANES

    def load(self, builder: Any, address: Any) -> Any:
        return _load(builder, address, _PAIRS, 2) if self.in_pairs else _load_floats(builder, address, self.bfloat16)

    def load_first(self, builder: Any, address: Any, mask: Any) -> Any:
        """The selected values, zeros for the others."""
        if self.in_pairs:
            return _masked(builder, address, _PAIRS, "bf16", mask)
        if self.bfloat16:
            return _widened(builder, _masked(builder, address, _HALVES, "i16", mask))
        return _masked(builder, address, _FLOATS, "f32", mask)

    def add_products(self, builder: Any, sums: Any, left: Any, right: Any) -> Any:
        return (_add_pairs if self.in_pairs else _add_products)(builder, sums, left, right)

    def first(self, builder: Any, count: Any) -> Any:
        """A mask of the first `count` values."""
        numbers = ir.VectorType(_INT64, self.values)
        places = ir.Constant(numbers, list(range(self.values)))
        return builder.icmp_signed("<", places, _everywhere(builder, count, self.values))


def _everywhere(builder: Any, value: Any, count: int) -> Any:
    """A vector of `count` times the same value."""
    undefined = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, count), [0] * count))


@intrinsic(prefer_literal=True)
def _dot_products(typingctx: Any, rows: Any, a: Any, x: Any, inputs: Any, low: Any, low_stride: Any, dtype: Any) -> Any:
    """low[i, r] = a[r] . x[i], for the `rows` rows whose addresses x holds, and RANKS rows of A.

    All but `rows` (a literal), the tuple x and dtype are addresses, strides in bytes or counts.
    """
    count, vectors = rows.literal_value, _Vectors(dtype)
    item = 2 if vectors.bfloat16 else 4

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, a, x, inputs, low, low_stride, _ = args
        sums = _zeros(builder, RANKS * count)
        x_rows = [builder.extract_value(x, i) for i in range(count)]
        stride = builder.mul(inputs, ir.Constant(_INT64, item))
        a_rows = [builder.add(a, builder.mul(stride, ir.Constant(_INT64, r))) for r in range(RANKS)]

        def add(offset: Any, load: Any) -> None:
            values = [load(builder.add(row, offset)) for row in x_rows]
            for r, a_row in enumerate(a_rows):
                weights = load(builder.add(a_row, offset))
                _prefetch(builder, _plus(builder, builder.add(a_row, offset), AHEAD))
                for i, value in enumerate(values):
                    held = sums[r * count + i]
                    builder.store(vectors.add_products(builder, builder.load(held), weights, value), held)

        steps = builder.sdiv(inputs, ir.Constant(_INT64, vectors.values))
        with cgutils.for_range(builder, steps) as loop:
            add(builder.mul(loop.index, ir.Constant(_INT64, vectors.size)), lambda place: vectors.load(builder, place))
        rest = builder.srem(inputs, ir.Constant(_INT64, vectors.values))
        with builder.if_then(builder.icmp_signed(">", rest, ir.Constant(_INT64, 0)), likely=False):
            mask = vectors.first(builder, rest)
            done = builder.mul(steps, ir.Constant(_INT64, vectors.size))
            add(done, lambda place: vectors.load_first(builder, place, mask))
        for i in range(count):
            place = builder.add(low, builder.mul(low_stride, ir.Constant(_INT64, i)))
            for r in range(RANKS):
                total = _total(builder, builder.load(sums[r * count + i]))
                if vectors.in_pairs:
                    total = builder.bitcast(builder.fptrunc(total, _BFloat()), _INT16)
                size = total.type.get_abi_size(context.target_data)
                pointer = builder.inttoptr(_plus(builder, place, size * r), total.type.as_pointer())
                builder.store(total, pointer, align=size)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(rows, whole, x, whole, whole, whole, dtype), codegen


@intrinsic(prefer_literal=True)
def _combine(typingctx: Any, rows: Any, b: Any, rank: Any, low: Any, low_stride: Any, sums: Any, dtype: Any) -> Any:
    """sums[i, o] = low[i] . b[:, o], for `rows` (a literal) rows and the COLUMNS outputs of one block of B."""
    count, vectors = rows.literal_value, _Vectors(dtype)
    parts, line_size = COLUMNS // LANES, COLUMNS // LANES * vectors.size
    together = 2 if vectors.in_pairs else 1

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, b, rank, low, low_stride, sums, _ = args
        held = _zeros(builder, count * parts)
        lows = [builder.add(low, builder.mul(low_stride, ir.Constant(_INT64, i))) for i in range(count)]

        def everywhere(address: Any) -> Any:
            if vectors.in_pairs:
                return builder.bitcast(_everywhere(builder, _load(builder, address, _INT32, 2), LANES), _PAIRS)
            return _everywhere(builder, _load(builder, address, ir.FloatType(), 4), LANES)

        with cgutils.for_range(builder, builder.sdiv(rank, ir.Constant(_INT64, together))) as loop:
            line = builder.add(b, builder.mul(loop.index, ir.Constant(_INT64, line_size)))
            for place in range(0, line_size, LINE):
                _prefetch(builder, _plus(builder, line, AHEAD // 2 + place))
            weights = [vectors.load(builder, _plus(builder, line, part * vectors.size)) for part in range(parts)]
            offset = builder.mul(loop.index, ir.Constant(_INT64, 4))  # a float32, or a pair
            for i, row in enumerate(lows):
                factor = everywhere(builder.add(row, offset))
                for part, weight in enumerate(weights):
                    of = held[i * parts + part]
                    builder.store(vectors.add_products(builder, builder.load(of), weight, factor), of)
        for place, variable in enumerate(held):
            pointer = builder.inttoptr(_plus(builder, sums, place * LANES * 4), _FLOATS.as_pointer())
            builder.store(builder.load(variable), pointer, align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(rows, whole, whole, whole, whole, whole, dtype), codegen


@njit
def _share(total: int, thread: int, threads: int) -> tuple[int, int]:
    return total * thread // threads, total * (thread + 1) // threads


@njit
def _cost(panel: Any) -> Any:
    """What one unit of work of a panel costs: its tiles, and the reading of the weights."""
    return 1 + (panel[COUNT] + TILE - 1) // TILE


@njit
def _shrink(call: Any, inputs: int, panel: Any, rows: Any, a: int, low: int, low_stride: int, dtype: Any) -> None:
    """low[i, r] = a[r] . x[i] for the rows i of a panel and the RANKS rows r of A, from the addresses a and low."""
    for first in range(panel[FIRST], panel[FIRST] + panel[COUNT], TILE):
        count = min(TILE, panel[FIRST] + panel[COUNT] - first)
        x0 = call[X] + rows[first] * call[X_STRIDE]
        x1 = call[X] + rows[first + min(1, count - 1)] * call[X_STRIDE]
        x2 = call[X] + rows[first + min(2, count - 1)] * call[X_STRIDE]
        x3 = call[X] + rows[first + count - 1] * call[X_STRIDE]
        place = low + first * low_stride
        if count == 4:
            _dot_products(4, a, (x0, x1, x2, x3), inputs, place, low_stride, dtype)
        elif count == 3:
            _dot_products(3, a, (x0, x1, x2, x3), inputs, place, low_stride, dtype)
        elif count == 2:
            _dot_products(2, a, (x0, x1, x2, x3), inputs, place, low_stride, dtype)
        else:
            _dot_products(1, a, (x0, x1, x2, x3), inputs, place, low_stride, dtype)


@njit
def _low_stride(module: Any, dtype: Any) -> Any:
    """Bytes of what one row shrinks to."""
    return module[SLICES] * module[MAX_RANK] * _low_item(dtype)


@njit
def _shrink_panels(
    call: Any, module: Any, table: Any, panels: Any, rows: Any, thread: int, threads: int, dtype: Any
) -> None:
    """Each thread computes its share of all (panel, slice, RANKS rows of A) in that order."""
    total = 0
    for p in range(panels.shape[0]):
        for s in range(module[SLICES]):
            total += _cost(panels[p]) * (table[panels[p, SLOT], s, RANK] // RANKS)
    begin, end = _share(total, thread, threads)
    position = 0
    for p in range(panels.shape[0]):
        for s in range(module[SLICES]):
            entry = table[panels[p, SLOT], s]
            for r in range(0, entry[RANK], RANKS):
                if begin <= position < end:
                    a = entry[A] + r * module[INPUTS] * _item(dtype)
                    low = call[LOW] + (s * module[MAX_RANK] + r) * _low_item(dtype)
                    _shrink(call, module[INPUTS], panels[p], rows, a, low, _low_stride(module, dtype), dtype)
                position += _cost(panels[p])


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
def _expand_tile(
    call: Any,
    entry: Any,
    rows: Any,
    low: int,
    low_stride: int,
    y: int,
    outputs: int,
    blocks: tuple[int, int],
    sums: Any,
    dtype: Any,
) -> None:
    """Finish the outputs of some blocks of one slice for the rows of a tile, block by block.

    low is the address of what the first row shrinks to for this slice, y that of the slice's first output in row 0.
    """
    count = rows.size
    for block in range(blocks[0], blocks[1]):
        begin = block * COLUMNS
        b = entry[B] + begin * entry[RANK] * _item(dtype)
        if count == 4:
            _combine(4, b, entry[RANK], low, low_stride, sums.ctypes.data, dtype)
        elif count == 3:
            _combine(3, b, entry[RANK], low, low_stride, sums.ctypes.data, dtype)
        elif count == 2:
            _combine(2, b, entry[RANK], low, low_stride, sums.ctypes.data, dtype)
        else:
            _combine(1, b, entry[RANK], low, low_stride, sums.ctypes.data, dtype)
        size = min(COLUMNS, outputs - begin)
        for i in range(count):
            of_row = carray(_pointer(y + rows[i] * call[Y_STRIDE] + begin * _item(dtype)), (size,), dtype)
            _finish(of_row, sums[i][:size], entry, begin)


@njit
def _expand_panels(
    call: Any, module: Any, table: Any, panels: Any, rows: Any, thread: int, threads: int, dtype: Any
) -> None:
    """Each thread computes its share of all (panel, slice, block of outputs) in that order, a panel tile by tile."""
    widths = carray(_pointer(module[WIDTHS]), (module[SLICES],), np.int64)
    sums = carray(_tile_of_sums(), (TILE, COLUMNS), np.float32)
    stride = _low_stride(module, dtype)
    all_blocks = total = 0
    for s in range(module[SLICES]):
        all_blocks += (widths[s] + COLUMNS - 1) // COLUMNS
    for p in range(panels.shape[0]):
        total += _cost(panels[p]) * all_blocks
    first, last = _share(total, thread, threads)
    position = 0
    for p in range(panels.shape[0]):
        y, cost, end = call[Y], _cost(panels[p]), panels[p, FIRST] + panels[p, COUNT]
        for s in range(module[SLICES]):
            entry = table[panels[p, SLOT], s]
            blocks = (widths[s] + COLUMNS - 1) // COLUMNS
            own = _begun(first - position, cost, blocks), _begun(last - position, cost, blocks)
            if own[0] < own[1] and entry[RANK] > 0:
                low = call[LOW] + s * module[MAX_RANK] * _low_item(dtype)
                for tile in range(panels[p, FIRST], end, TILE):
                    of_tile = rows[tile : min(tile + TILE, end)]
                    _expand_tile(call, entry, of_tile, low + tile * stride, stride, y, widths[s], own, sums, dtype)
            position += cost * blocks
            y += widths[s] * _item(dtype)


@njit
def _begun(position: int, cost: int, blocks: int) -> int:
    """How many of some blocks, which cost this much each, begin before a position."""
    return min(max((position + cost - 1) // cost, 0), blocks)


@njit
def _update(call: Any, dtype: Any) -> None:
    thread, threads = _omp_thread(), _omp_threads()
    module = carray(_pointer(call[MODULE]), (MODULE_FIELDS,), np.int64)
    batch = carray(_pointer(call[BATCH]), (BATCH_FIELDS,), np.int64)
    table = carray(_pointer(module[TABLE]), (module[SLOTS], module[SLICES], FIELDS), np.int64)
    rows = carray(_pointer(batch[ROWS]), (batch[ROW_COUNT],), np.int64)
    panels = carray(_pointer(batch[PANELS]), (batch[PANEL_COUNT], 3), np.int64)
    _shrink_panels(call, module, table, panels, rows, thread, threads, dtype)
    _gomp_barrier()
    _expand_panels(call, module, table, panels, rows, thread, threads, dtype)


def module_block(inputs: int, table: NDArray[np.int64], widths: NDArray[np.int64]) -> NDArray[np.int64]:
    """What calls for one module have in common, but for MAX_RANK; the caller keeps the arrays alive."""
    block = np.zeros(MODULE_FIELDS, np.int64)
    block[INPUTS], block[SLOTS], block[SLICES] = inputs, table.shape[0], table.shape[1]
    block[TABLE], block[WIDTHS] = table.ctypes.data, widths.ctypes.data
    return block


def batch_block(rows: NDArray[np.int64], panels: NDArray[np.int64]) -> NDArray[np.int64]:
    """What calls for one batch have in common; the caller keeps the arrays alive."""
    return np.array([rows.ctypes.data, rows.size, panels.ctypes.data, len(panels)], np.int64)


def get_ready(dtype: torch.dtype) -> None:
    """Compile what calls need, or take it from the cache, so that no step waits for it; seconds the first time."""
    if serves(dtype):
        compiled(dtype)
    elif not is_available():
        logger.warning("torch has no OpenMP runtime of its own (libgomp): adapters are served by matmuls, slower")
    else:
        logger.warning("adapters in %s are served by matmuls, slower than in bfloat16 or float32", dtype)


def serves(dtype: torch.dtype) -> bool:
    """Whether the kernel is there for values of this type."""
    return dtype in (torch.bfloat16, torch.float32) and is_available()


def is_available() -> bool:
    """Whether the kernel can share the threads of torch's operators."""
    return _torch_gomp() is not None


@cache
def compiled(dtype: torch.dtype) -> tuple[int, Any]:
    """The kernel's address for values of one type, and what calls it on several threads: parallel(address, address
    of the argument block, threads, 0). Takes seconds the first time."""
    gomp = _torch_gomp()
    assert gomp is not None  # noqa: S101
    for name in ("omp_get_thread_num", "omp_get_num_threads", "GOMP_barrier"):
        llvmlite.binding.add_symbol(name, ctypes.cast(getattr(gomp, name), ctypes.c_void_p).value)
    parallel = gomp.GOMP_parallel
    parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    parallel.restype = None
    return (_compile_bfloat16() if dtype is torch.bfloat16 else _compile_float32()).address, parallel


def _compile_bfloat16() -> Any:
    def update(block: Any) -> None:
        _update(carray(block, (CALL,)), np.uint16)

    return _callback(update)


def _compile_float32() -> Any:
    def update(block: Any) -> None:
        _update(carray(block, (CALL,)), np.float32)

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
    """The OpenMP runtime that torch runs on, so that both share one set of threads; None where it is not known.

    What the process has under GOMP's names: torch's own libgomp, or what was loaded in its place (LD_PRELOAD).
    """
    everything = ctypes.CDLL(None)
    if hasattr(everything, "GOMP_parallel"):
        return everything
    torch_folder = Path(torch.__file__).parent
    found = [*(torch_folder / "lib").glob("libgomp*.so*"), *torch_folder.parent.glob("torch.libs/libgomp*.so*")]
    return ctypes.CDLL(str(found[0])) if found else None

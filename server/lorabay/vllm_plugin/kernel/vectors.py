"""The row kernel's inner loops as vector instructions of LLVM, which become the processor's own.

Values are bfloat16 (as their uint16 patterns) or float32, sums are float32. On a processor that
multiplies pairs of bfloat16, the numbers that a row shrinks to are rounded to bfloat16, as in
vLLM's own kernels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from lorabay.vllm_plugin.kernel.arguments import AHEAD, COLUMNS, LANES, LINE, RANKS

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
def pointer(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


@intrinsic(prefer_literal=True)
def scratch(typingctx: Any, size: Any) -> Any:
    """Return the address of `size` (a literal) bytes on the stack of the calling function."""
    count = size.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # Not by `alloca_once`, which fills it with zeros.
        with builder.goto_entry_block():
            place = builder.alloca(ir.ArrayType(ir.IntType(8), count))
        place.align = LINE
        return builder.ptrtoint(place, _INT64)

    return types.int64(size), codegen


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


def widen(stored: Any) -> Any:
    """Return a stored value as float32."""


def narrow(value: Any, stored: Any) -> Any:
    """Return a float32 value in the type of `stored`, rounded to nearest even."""


@overload(widen)
def _overload_widen(stored: Any) -> Any:
    def from_bfloat16(stored: Any) -> Any:
        return _as_float(np.uint32(stored) << np.uint32(16))

    def from_float32(stored: Any) -> Any:
        return stored

    return from_bfloat16 if stored == types.uint16 else from_float32


@overload(narrow)
def _overload_narrow(value: Any, stored: Any) -> Any:
    def to_bfloat16(value: Any, stored: Any) -> Any:
        bits = _as_bits(value)
        rounded = (
            bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        ) >> np.uint32(16)
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
    """Return whether the processor sums products of bfloat16 pairs in float32 (AVX512_BF16)."""
    return {"+avx512bf16", "+avx512f"} <= set(features().split(","))


def features() -> str:
    """Return the features that numba compiles for: the processor's, or what somebody restricts."""
    return _host_features() if config.CPU_FEATURES is None else str(config.CPU_FEATURES)


@cache
def _host_features() -> str:
    """Return the processor's features; each matrix of an adapter is packed by them."""
    return str(llvmlite.binding.get_host_cpu_features().flatten())


def item(dtype: Any) -> Any:
    """Return the bytes of a value."""


def low_item(dtype: Any) -> Any:
    """Return the bytes of a number that a row shrinks to."""


@overload(item)
def _overload_item(dtype: Any) -> Any:
    size = dtype.dtype.bitwidth // 8

    def bytes_of(dtype: Any) -> Any:
        return size

    return bytes_of


@overload(low_item)
def _overload_low_item(dtype: Any) -> Any:
    size = 2 if _in_pairs(dtype) else 4

    def bytes_of(dtype: Any) -> Any:
        return size

    return bytes_of


def _in_pairs(dtype: Any) -> bool:
    return _is_bfloat16(dtype) and multiplies_bfloat16()


def _is_bfloat16(dtype: Any) -> bool:
    return bool(dtype.dtype == types.uint16)


def _load(builder: Any, address: Any, kind: ir.Type, align: int) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align)


def _load_floats(builder: Any, address: Any, bfloat16: bool) -> Any:
    """Return LANES values as float32."""
    if bfloat16:
        return _widened(builder, _load(builder, address, _HALVES, 2))

    return _load(builder, address, _FLOATS, 4)


def _widened(builder: Any, halves: Any) -> Any:
    high = builder.shl(builder.zext(halves, _WORDS), ir.Constant(_WORDS, [16] * LANES))
    return builder.bitcast(high, _FLOATS)


def _function(builder: Any, name: str, result: ir.Type, *arguments: ir.Type) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _add_products(builder: Any, sums: Any, left: Any, right: Any) -> Any:
    """Return sums + left * right, number by number."""
    fma = _function(builder, f"llvm.fmuladd.v{LANES}f32", _FLOATS, _FLOATS, _FLOATS, _FLOATS)
    return builder.call(fma, [left, right, sums])


def _total(builder: Any, sums: Any) -> Any:
    add = _function(
        builder, f"llvm.vector.reduce.fadd.v{LANES}f32", ir.FloatType(), ir.FloatType(), _FLOATS
    )
    return builder.call(add, [ir.Constant(ir.FloatType(), -0.0), sums], fastmath=("reassoc",))


def _zeros(builder: Any, count: int) -> list[Any]:
    """Return `count` variables that hold vectors of zeros; LLVM keeps them in registers."""
    variables = [cgutils.alloca_once(builder, _FLOATS) for _ in range(count)]
    for variable in variables:
        builder.store(ir.Constant(_FLOATS, [0.0] * LANES), variable)
    return variables


def _prefetch(builder: Any, address: Any) -> None:
    """Ask for the cache line of an address; one that is not mapped does no harm."""
    place = ir.IntType(8).as_pointer()
    ask = _function(builder, "llvm.prefetch.p0", ir.VoidType(), place, _INT32, _INT32, _INT32)
    to_read, second_level, data = (ir.Constant(_INT32, value) for value in (0, 2, 1))
    builder.call(ask, [builder.inttoptr(address, place), to_read, second_level, data])


def _plus(builder: Any, address: Any, size: int) -> Any:
    return builder.add(address, ir.Constant(_INT64, size))


def _add_pairs(builder: Any, sums: Any, left: Any, right: Any) -> Any:
    """Return sums + the products of LANES pairs of bfloat16."""
    dot = _function(builder, "llvm.x86.avx512bf16.dpbf16ps.512", _FLOATS, _FLOATS, _PAIRS, _PAIRS)
    return builder.call(dot, [sums, left, right])


def _masked(builder: Any, address: Any, kind: ir.VectorType, name: str, mask: Any) -> Any:
    """Return the values that the mask selects, zeros for the others, which are not read."""
    place, flags = kind.as_pointer(), ir.VectorType(ir.IntType(1), kind.count)
    load = _function(
        builder, f"llvm.masked.load.v{kind.count}{name}.p0", kind, place, _INT32, flags, kind
    )
    none = ir.Constant(kind, None)
    return builder.call(
        load, [builder.inttoptr(address, place), ir.Constant(_INT32, 2), mask, none]
    )


class _Vectors:
    """Instructions that read and multiply the values of one type."""

    def __init__(self, dtype: Any) -> None:
        self.bfloat16, self.in_pairs = _is_bfloat16(dtype), _in_pairs(dtype)
        self.size = 2 * LANES if self.bfloat16 and not self.in_pairs else 4 * LANES
        self.values = 2 * LANES if self.in_pairs else LANES

    def load(self, builder: Any, address: Any) -> Any:
        if self.in_pairs:
            return _load(builder, address, _PAIRS, 2)

        return _load_floats(builder, address, self.bfloat16)

    def load_first(self, builder: Any, address: Any, mask: Any) -> Any:
        """Return the selected values, zeros for the others."""
        if self.in_pairs:
            return _masked(builder, address, _PAIRS, "bf16", mask)
        if self.bfloat16:
            return _widened(builder, _masked(builder, address, _HALVES, "i16", mask))
        return _masked(builder, address, _FLOATS, "f32", mask)

    def add_products(self, builder: Any, sums: Any, left: Any, right: Any) -> Any:
        return (_add_pairs if self.in_pairs else _add_products)(builder, sums, left, right)

    def first(self, builder: Any, count: Any) -> Any:
        """Return a mask of the first `count` values."""
        numbers = ir.VectorType(_INT64, self.values)
        places = ir.Constant(numbers, list(range(self.values)))
        return builder.icmp_signed("<", places, _everywhere(builder, count, self.values))


def _everywhere(builder: Any, value: Any, count: int) -> Any:
    """Return a vector of `count` times the same value."""
    undefined = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(_INT32, count), [0] * count)
    )


@intrinsic(prefer_literal=True)
def dot_products(
    typingctx: Any, rows: Any, a: Any, x: Any, inputs: Any, low: Any, low_stride: Any, dtype: Any
) -> Any:
    """Compute low[i, r] = a[r] . x[i] for the rows whose addresses x holds and RANKS rows of A.

    All but `rows` (a literal), the tuple x and dtype are addresses, strides in bytes or counts.
    """
    count, vectors = rows.literal_value, _Vectors(dtype)
    value_size = 2 if vectors.bfloat16 else 4

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, a, x, inputs, low, low_stride, _ = args
        sums = _zeros(builder, RANKS * count)
        x_rows = [builder.extract_value(x, i) for i in range(count)]
        stride = builder.mul(inputs, ir.Constant(_INT64, value_size))
        a_rows = [builder.add(a, builder.mul(stride, ir.Constant(_INT64, r))) for r in range(RANKS)]

        def add(offset: Any, load: Any) -> None:
            values = [load(builder.add(row, offset)) for row in x_rows]
            for r, a_row in enumerate(a_rows):
                weights = load(builder.add(a_row, offset))
                _prefetch(builder, _plus(builder, builder.add(a_row, offset), AHEAD))
                for i, value in enumerate(values):
                    held = sums[r * count + i]
                    builder.store(
                        vectors.add_products(builder, builder.load(held), weights, value), held
                    )

        # Whole vectors first, then the rest of a row under a mask.
        steps = builder.sdiv(inputs, ir.Constant(_INT64, vectors.values))
        with cgutils.for_range(builder, steps) as loop:
            add(
                builder.mul(loop.index, ir.Constant(_INT64, vectors.size)),
                lambda place: vectors.load(builder, place),
            )
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
                number = builder.inttoptr(_plus(builder, place, size * r), total.type.as_pointer())
                builder.store(total, number, align=size)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(rows, whole, x, whole, whole, whole, dtype), codegen


@intrinsic(prefer_literal=True)
def combine(
    typingctx: Any, rows: Any, b: Any, rank: Any, low: Any, low_stride: Any, sums: Any, dtype: Any
) -> Any:
    """Compute sums[i, o] = low[i] . b[:, o] for `rows` rows and the COLUMNS outputs of one block.

    `rows` is a literal.
    """
    count, vectors = rows.literal_value, _Vectors(dtype)
    parts, line_size = COLUMNS // LANES, COLUMNS // LANES * vectors.size
    together = 2 if vectors.in_pairs else 1

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, b, rank, low, low_stride, sums, _ = args
        held = _zeros(builder, count * parts)
        lows = [
            builder.add(low, builder.mul(low_stride, ir.Constant(_INT64, i))) for i in range(count)
        ]

        def everywhere(address: Any) -> Any:
            if vectors.in_pairs:
                pair = _load(builder, address, _INT32, 2)
                return builder.bitcast(_everywhere(builder, pair, LANES), _PAIRS)

            return _everywhere(builder, _load(builder, address, ir.FloatType(), 4), LANES)

        with cgutils.for_range(builder, builder.sdiv(rank, ir.Constant(_INT64, together))) as loop:
            line = builder.add(b, builder.mul(loop.index, ir.Constant(_INT64, line_size)))
            for place in range(0, line_size, LINE):
                _prefetch(builder, _plus(builder, line, AHEAD // 2 + place))
            weights = [
                vectors.load(builder, _plus(builder, line, part * vectors.size))
                for part in range(parts)
            ]

            # A step takes four bytes of a row: one float32, or a pair of bfloat16.
            offset = builder.mul(loop.index, ir.Constant(_INT64, 4))
            for i, row in enumerate(lows):
                factor = everywhere(builder.add(row, offset))
                for part, weight in enumerate(weights):
                    of = held[i * parts + part]
                    builder.store(
                        vectors.add_products(builder, builder.load(of), weight, factor), of
                    )

        for place, variable in enumerate(held):
            vector = builder.inttoptr(_plus(builder, sums, place * LANES * 4), _FLOATS.as_pointer())
            builder.store(builder.load(variable), vector, align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(rows, whole, whole, whole, whole, whole, dtype), codegen


@intrinsic
def finish_line(typingctx: Any, y: Any, sums: Any, factor: Any, shift: Any, dtype: Any) -> Any:
    """Compute y = y * factor + shift + sums for COLUMNS outputs, each rounded once.

    All but dtype are addresses; `factor` may be 0 for none, and `shift`, too. `sums` is aligned to
    a cache line.
    """
    bfloat16, natively = _is_bfloat16(dtype), multiplies_bfloat16()

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        y, sums, factor, shift, _ = args
        none = ir.Constant(_INT64, 0)

        def finish(*, scaled: bool, shifted: bool) -> None:
            for part in range(COLUMNS // LANES):
                place = part * LANES * 4
                value = _load(builder, _plus(builder, sums, place), _FLOATS, LINE)
                of_y = _plus(builder, y, part * LANES * (2 if bfloat16 else 4))
                stored = _load_floats(builder, of_y, bfloat16)
                if shifted:
                    added = _load(builder, _plus(builder, shift, place), _FLOATS, 4)
                    value = builder.fadd(value, added)
                if scaled:
                    times = _load(builder, _plus(builder, factor, place), _FLOATS, 4)
                    value = _add_products(builder, value, stored, times)
                else:
                    value = builder.fadd(value, stored)
                _store_floats(builder, value, of_y, bfloat16, natively)

        with builder.if_else(builder.icmp_unsigned("==", factor, none)) as (plain, scaled):
            with plain:
                finish(scaled=False, shifted=False)
            with (
                scaled,
                builder.if_else(builder.icmp_unsigned("==", shift, none)) as (alone, shifted),
            ):
                with alone:
                    finish(scaled=True, shifted=False)
                with shifted:
                    finish(scaled=True, shifted=True)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(whole, whole, whole, whole, dtype), codegen


def _store_floats(builder: Any, value: Any, address: Any, bfloat16: bool, natively: bool) -> None:
    """Store LANES numbers; bfloat16 is rounded to nearest even."""
    if not bfloat16:
        builder.store(value, builder.inttoptr(address, _FLOATS.as_pointer()), align=4)
        return

    if natively:
        rounded = builder.fptrunc(value, ir.VectorType(_BFloat(), LANES))
        halves = builder.bitcast(rounded, _HALVES)
    else:
        halves = _rounded_by_hand(builder, value)
    builder.store(halves, builder.inttoptr(address, _HALVES.as_pointer()), align=2)


def _rounded_by_hand(builder: Any, value: Any) -> Any:
    def words(number: int) -> Any:
        return ir.Constant(_WORDS, [number] * LANES)

    bits = builder.bitcast(value, _WORDS)
    is_odd = builder.and_(builder.lshr(bits, words(16)), words(1))
    rounded = builder.lshr(builder.add(bits, builder.add(is_odd, words(0x7FFF))), words(16))
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_nan, words(0x7FC0), rounded), _HALVES)

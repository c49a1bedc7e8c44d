"""Products of whole tiles of bfloat16, where the processor has them (AMX): for long prompts.

A tile register holds 16 rows of 64 bytes. One instruction multiplies 16 rows of 32 values by 32
rows of 16 and adds that to 16 x 16 sums in float32; the right side lies in pairs: its row k holds
the values 2k and 2k + 1 of each column, side by side. Registers 0 to 3 hold sums, 4 and 6 a left
and a right side of 32 values, 5 and 7 what is left of a rank (Intel's Architecture Instruction Set
Extensions, chapter 3).

Each thread has a configuration of its own. oneDNN remembers what it has set, so whoever changes it
puts it back.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from lorabay.vllm_plugin.kernel.arguments import COLUMNS, LANES
from lorabay.vllm_plugin.kernel.vectors import features, pointer

SIDE = 16
"""Rows of a tile, and columns of a tile of sums."""
DEPTH = 32
"""Values of a row of a tile, which are multiplied together."""
TILE_BYTES = 1024
LINE_BYTES = 64
"""Bytes of a row of a tile."""
CONFIGURATION_BYTES = 64
DEEP = 512
"""Values of each row of A that lie ready in the order of tiles, at a time."""

_SUMS, _LEFT, _LEFT_REST, _RIGHT, _RIGHT_REST = (0, 1, 2, 3), 4, 5, 6, 7
_INT8, _INT32, _INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_ROW = ir.VectorType(_INT32, SIDE)

_ARCH_PRCTL, _ASK_FOR_STATE, _TILE_DATA = 158, 0x1023, 18
"""Linux grants a process the tiles' large registers only if it asks (arch_prctl(2))."""


@cache
def are_available() -> bool:
    """Return whether this process may multiply tiles of bfloat16, having asked for it."""
    needed = {"+amx-tile", "+amx-bf16", "+avx512bf16", "+avx512f"}
    if not needed <= set(features().split(",")):
        return False
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    return int(syscall(_ARCH_PRCTL, _ASK_FOR_STATE, _TILE_DATA)) == 0


def _call(builder: Any, name: str, *arguments: Any) -> None:
    kinds = [argument.type for argument in arguments]
    kind = ir.FunctionType(ir.VoidType(), kinds)
    builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), arguments
    )


def _place(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _INT8.as_pointer())


def _load_tile(builder: Any, register: int, address: Any, stride: Any) -> None:
    _call(builder, "tileloadd64", _INT8(register), _place(builder, address), stride)


def _store_tile(builder: Any, register: int, address: Any, stride: Any) -> None:
    _call(builder, "tilestored64", _INT8(register), _place(builder, address), stride)


def _multiply(builder: Any, sums: int, left: int, right: int) -> None:
    _call(builder, "tdpbf16ps", _INT8(sums), _INT8(left), _INT8(right))


def _plus(builder: Any, address: Any, number: Any, size: int) -> Any:
    return builder.add(address, builder.mul(number, _INT64(size)))


@intrinsic
def load_configuration(typingctx: Any, address: Any) -> Any:
    """Configure this thread's tiles."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(builder, "ldtilecfg", _place(builder, args[0]))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def store_configuration(typingctx: Any, address: Any) -> Any:
    """Write this thread's configuration to an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(builder, "sttilecfg", _place(builder, args[0]))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@njit
def configure(block: int, rank: int) -> None:
    """Configure this thread's tiles for a rank, with the help of CONFIGURATION_BYTES at `block`."""
    numbers = carray(pointer(block), (CONFIGURATION_BYTES,), np.uint8)
    numbers[:] = 0
    numbers[0] = 1  # the only palette that there is
    for register in range(8):
        numbers[16 + 2 * register] = LINE_BYTES
        numbers[48 + register] = SIDE

    # Ranks go in pairs; a register that is not used needs a size, too.
    rest = max(rank % DEPTH, 2)
    numbers[16 + 2 * 5] = 2 * rest
    numbers[48 + 7] = rest // 2
    load_configuration(block)


@intrinsic
def pack_tile(typingctx: Any, a: Any, stride: Any, rows: Any, packed: Any) -> Any:
    """Write SIDE rows of DEPTH values as the right side of a product: pairs become columns.

    `a` and `packed` are addresses, the second one of a cache line; `stride` is in bytes. Behind the
    last of `rows` it is repeated.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, stride, rows, packed = args
        last = builder.sub(rows, _INT64(1))
        lines = []
        for number in range(SIDE):
            is_there = builder.icmp_signed("<", _INT64(number), rows)
            row = builder.select(is_there, _INT64(number), last)
            address = builder.add(a, builder.mul(row, stride))
            place = builder.inttoptr(address, _ROW.as_pointer())
            lines.append(builder.load(place, align=2))

        for number, line in enumerate(_transposed(builder, lines)):
            address = builder.add(packed, _INT64(number * LINE_BYTES))
            builder.store(line, builder.inttoptr(address, _ROW.as_pointer()), align=LINE_BYTES)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(whole, whole, whole, whole), codegen


def _transposed(builder: Any, lines: list[Any]) -> list[Any]:
    """Return the columns of a square: blocks off the diagonal change places, ever smaller ones."""
    size = SIDE // 2
    while size:
        swapped = list(lines)
        for number in range(SIDE):
            if number & size:
                continue
            upper, lower = lines[number], lines[number + size]
            lanes = range(SIDE)
            left = [lane - size + SIDE if lane & size else lane for lane in lanes]
            right = [lane + SIDE if lane & size else lane + size for lane in lanes]
            swapped[number] = _shuffled(builder, upper, lower, left)
            swapped[number + size] = _shuffled(builder, upper, lower, right)
        lines = swapped
        size //= 2
    return lines


def _shuffled(builder: Any, one: Any, other: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INT32, SIDE), lanes))


@intrinsic(prefer_literal=True)
def add_tile_products(
    typingctx: Any, tiles: Any, x: Any, stride: Any, packed: Any, steps: Any, sums: Any, go_on: Any
) -> Any:
    """Compute sums[t] = X_t P for `tiles` (a literal) tiles of rows, or add to what is there.

    `x` holds the addresses of the tiles' first rows, which lie `stride` bytes apart; P are `steps`
    packed tiles.
    """
    count = tiles.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, x, stride, packed, steps, sums, go_on = args
        places = [builder.extract_value(x, number) for number in range(count)]
        line = _INT64(LINE_BYTES)
        of_sums = [builder.add(sums, _INT64(number * TILE_BYTES)) for number in range(count)]

        with builder.if_else(builder.icmp_signed("!=", go_on, _INT64(0))) as (add, begin):
            with add:
                for number in range(count):
                    _load_tile(builder, _SUMS[number], of_sums[number], line)
            with begin:
                for number in range(count):
                    _call(builder, "tilezero", _INT8(_SUMS[number]))

        with cgutils.for_range(builder, steps) as loop:
            _load_tile(builder, _RIGHT, _plus(builder, packed, loop.index, TILE_BYTES), line)
            for number in range(count):
                place = _plus(builder, places[number], loop.index, LINE_BYTES)
                _load_tile(builder, _LEFT, place, stride)
                _multiply(builder, _SUMS[number], _LEFT, _RIGHT)

        for number in range(count):
            _store_tile(builder, _SUMS[number], of_sums[number], line)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(tiles, x, whole, whole, whole, whole, whole), codegen


@intrinsic
def combine_tiles(typingctx: Any, b: Any, rank: Any, low: Any, low_stride: Any, sums: Any) -> Any:
    """Compute sums[i, o] = low[i] . b[:, o] for SIDE rows and the COLUMNS outputs of one block.

    As `vectors.combine`; this thread's tiles must be configured for the rank.
    """
    line = COLUMNS * 4
    """Bytes of a pair of ranks in b, and of a row of sums."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b, rank, low, low_stride, sums = args
        parts = range(COLUMNS // LANES)
        for part in parts:
            _call(builder, "tilezero", _INT8(_SUMS[part]))

        def add(left: int, right: int, chunk: Any) -> None:
            _load_tile(builder, left, _plus(builder, low, chunk, LINE_BYTES), low_stride)
            lines = _plus(builder, b, chunk, SIDE * line)
            for part in parts:
                place = builder.add(lines, _INT64(part * LINE_BYTES))
                _load_tile(builder, right, place, _INT64(line))
                _multiply(builder, _SUMS[part], left, right)

        chunks = builder.sdiv(rank, _INT64(DEPTH))
        with cgutils.for_range(builder, chunks) as loop:
            add(_LEFT, _RIGHT, loop.index)
        rest = builder.srem(rank, _INT64(DEPTH))
        with builder.if_then(builder.icmp_signed(">", rest, _INT64(0))):
            add(_LEFT_REST, _RIGHT_REST, chunks)

        for part in parts:
            place = builder.add(sums, _INT64(part * LINE_BYTES))
            _store_tile(builder, _SUMS[part], place, _INT64(line))
        return context.get_dummy_value()

    whole = types.int64
    return types.void(whole, whole, whole, whole, whole), codegen

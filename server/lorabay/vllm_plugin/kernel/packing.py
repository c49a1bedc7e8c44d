"""Copies of many matrices B into the kernel's order, in one call of compiled code.

An adapter has hundreds. Torch's operators take a dozen steps for each, and give up Python's lock in
every one, so that it goes to and fro between the loop that computes tokens and the thread that
loads. The call here gives it up once. Each number is read once: converted, scaled, put in place.

Knows addresses and shapes; nothing of what the matrices are.
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import carray, cfunc, njit, types

from lorabay.vllm_plugin.kernel import row_kernel, vectors as kernel_vectors
from lorabay.vllm_plugin.kernel.vectors import narrow, pointer, widen

# Fields of one copy, all int64.
SOURCE, IS_BFLOAT, ROWS, RANKS, STRIDE, TARGET, COLUMNS, TOGETHER, BLOCK = range(9)
FIELDS = 9


@dataclass(frozen=True, slots=True)
class Copy:
    """A matrix B `source` (outputs, rank), times `scaling`, and its place.

    That is (blocks, rank / together, columns, together): for each output, the values of `together`
    ranks lie side by side.
    """

    source: torch.Tensor
    target: torch.Tensor
    scaling: float


def serves(source: torch.dtype, target: torch.dtype) -> bool:
    """Return whether matrices of one type can be copied to another one here."""
    return row_kernel.serves(source) and row_kernel.serves(target)


def get_ready(dtype: torch.dtype) -> None:
    """Compile the copies into a type, or load them from the cache, so that no load waits for it."""
    if row_kernel.serves(dtype):
        _compiled(dtype)


def copy_all(copies: Sequence[Copy], dtype: torch.dtype) -> None:
    """Make copies whose targets are of this type; other threads may run Python meanwhile."""
    if not copies:
        return

    fields = np.array([_fields(copy) for copy in copies], np.int64)
    scalings = np.array([copy.scaling for copy in copies], np.float32)
    block = np.array([fields.ctypes.data, scalings.ctypes.data, len(copies)], np.int64)
    function, _ = _compiled(dtype)
    function(block.ctypes.data)


def _fields(copy: Copy) -> tuple[int, ...]:
    source, target = copy.source, copy.target
    _, groups, columns, together = target.shape
    return (
        source.data_ptr(),
        source.dtype is torch.bfloat16,
        *source.shape,
        source.stride(0),
        target.data_ptr(),
        columns,
        together,
        groups * columns * together,
    )


@njit
def _write(copy: Any, scaling: Any, source_type: Any, target_type: Any) -> None:
    """Copy rows, which become columns, block by block."""
    columns, together = copy[COLUMNS], copy[TOGETHER]
    blocks = (copy[ROWS] + columns - 1) // columns
    source = carray(pointer(copy[SOURCE]), (copy[ROWS] * copy[STRIDE],), source_type)
    target = carray(pointer(copy[TARGET]), (blocks * copy[BLOCK],), target_type)

    for block in range(blocks):
        count = min(columns, copy[ROWS] - block * columns)
        first = block * columns * copy[STRIDE]
        for rank in range(copy[RANKS]):
            place = block * copy[BLOCK] + rank // together * columns * together + rank % together
            for column in range(count):
                value = source[first + column * copy[STRIDE] + rank]
                # Converted, then scaled: the type is rounded to twice, as torch does it.
                converted = narrow(widen(value), target[0])
                target[place + column * together] = narrow(widen(converted) * scaling, target[0])


@njit
def _write_all(block: Any, target_type: Any) -> None:
    copies = carray(pointer(block[0]), (block[2], FIELDS), np.int64)
    scalings = carray(pointer(block[1]), (block[2],), np.float32)

    for i in range(block[2]):
        if copies[i, IS_BFLOAT]:
            _write(copies[i], scalings[i], np.uint16, target_type)
        else:
            _write(copies[i], scalings[i], np.float32, target_type)


@cache
def _compiled(dtype: torch.dtype) -> tuple[Any, Any]:
    """Return the function that makes copies into a type, given the address of its block, and its
    code.

    A function of ctypes lets go of Python's lock while it runs. The cache is that of the row
    kernel, for the same reasons.
    """
    values = np.uint16 if dtype is torch.bfloat16 else np.float32
    sources = _sources()

    def call(block: Any) -> None:
        if sources:
            _write_all(carray(block, (3,)), values)

    signature = types.void(types.CPointer(types.int64))
    try:
        compiled = cfunc(signature, cache=True)(call)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        compiled = cfunc(signature)(call)
    # Both, because the code may go with what numba returned.
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(compiled.address), compiled


def _sources() -> int:
    """Return a number that changes with the text of these functions; never 0."""
    checksum = 0
    for path in (__file__, kernel_vectors.__file__):
        if path:
            checksum = zlib.crc32(Path(path).read_bytes(), checksum)

    return checksum or 1

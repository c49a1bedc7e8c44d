"""The hot loop: a run of rows of one tensor, from the base's file through its steps into the
output's file.

A chunk is taken block by block: read, computed, and written at its place while it is still in the
processor's cache. Chunks may run in any order and at the same time. What happened to the numbers
comes back as a `Tally`. Knows no adapters and no plan.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.errors import SetupError
from lorabay.files.rounding import STORED, narrow, widen
from lorabay.files.safetensors_header import ITEM_BYTES
from lorabay.merge.tensors import Computed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lorabay.base.files import Stored
    from lorabay.files.rounding import Floats
    from lorabay.merge.steps import Step

CHUNK_NUMBERS = 1 << 21
"""Numbers of a chunk, the piece of work of one thread."""
BLOCK_NUMBERS = 1 << 17
"""Numbers that are read, worked on and written at a time: their buffers stay in a core's cache, and
small writes find pages faster than large ones."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over the numbers of a tensor. `change` is of squares, before rounding; `changed` counts
    numbers that come out other than the base's own would, and `infinite` those that are too large
    for the dtype."""

    count: int = 0
    weight: float = 0.0
    change: float = 0.0
    changed: int = 0
    infinite: int = 0

    def plus(self, other: Tally) -> Tally:
        return Tally(
            self.count + other.count,
            self.weight + other.weight,
            self.change + other.change,
            self.changed + other.changed,
            self.infinite + other.infinite,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Rows of one tensor. The base's numbers are rows of `values` (float32), or at `start` of the
    file `source`.
    """

    rows: slice
    columns: int
    dtype: str
    source: int
    start: int
    values: Floats | None
    steps: tuple[Step, ...]
    change: float | None
    """The chunk's share of the change, where the steps can tell it; else it is measured."""
    out_dtype: str
    target: int
    out_start: int

    @property
    def numbers(self) -> int:
        height: int = self.rows.stop - self.rows.start
        return height * self.columns


class Workspace:
    """Buffers of one worker, made once: memory that is used again is in the cache and costs no page
    faults.
    """

    def __init__(self, dtype: Any) -> None:
        self._dtype = np.dtype(dtype)
        self._stored = np.empty(0, np.uint8)
        self._written = np.empty(0, np.uint8)
        self._blocks: tuple[Floats, ...] = ()
        self._differs = np.empty(0, np.bool_)

    def run(self, chunk: Chunk) -> Tally:
        """Read, compute, write. Raises OSError, and SetupError when the base's file has become
        shorter.
        """
        tally = Tally(change=chunk.change**2 if chunk.change else 0.0)
        for rows in _blocks(chunk):
            first = (rows.start - chunk.rows.start) * chunk.columns
            count = (rows.stop - rows.start) * chunk.columns
            before, out = self._read(chunk, rows, first, count), self._out(chunk, count)
            tally = tally.plus(self._merge(chunk, rows, before, out))
            _write_all(chunk.target, out, chunk.out_start + first * ITEM_BYTES[chunk.out_dtype])
        return tally

    def _read(self, chunk: Chunk, rows: slice, first: int, count: int) -> NDArray[np.generic]:
        if chunk.values is not None:
            # Rows first: what takes no memory as a whole must not be laid out as a whole.
            return chunk.values.reshape(-1, chunk.columns)[rows].reshape(-1)
        item = ITEM_BYTES[chunk.dtype]
        self._stored = _room(self._stored, count * item)
        buffer = self._stored[: count * item]
        _read_all(chunk.source, buffer, chunk.start + first * item)
        return buffer.view(STORED[chunk.dtype])

    def _out(self, chunk: Chunk, count: int) -> NDArray[np.generic]:
        size = count * ITEM_BYTES[chunk.out_dtype]
        self._written = _room(self._written, size)
        return self._written[:size].view(STORED[chunk.out_dtype])

    def _merge(
        self, chunk: Chunk, rows: slice, before: NDArray[np.generic], out: NDArray[np.generic]
    ) -> Tally:
        values, scratch, original = self._buffers(before.size)
        shape = (rows.stop - rows.start, chunk.columns)
        widen(before, chunk.dtype, values)
        if not chunk.steps:
            narrow(values, chunk.out_dtype, out, scratch)
            return Tally(infinite=_infinite(out))
        weight = float(np.vdot(values, values))
        change = 0.0
        comparable = chunk.values is None and chunk.dtype == chunk.out_dtype
        if chunk.change is None or not comparable:
            original[...] = values
        for step in chunk.steps:
            step.apply(rows, values.reshape(shape), scratch.reshape(shape))
        if chunk.change is None:
            np.subtract(values, original, out=scratch)
            change = float(np.vdot(scratch, scratch))
        narrow(values, chunk.out_dtype, out, scratch)
        if not comparable:
            # What the base's own numbers would be in this dtype; `values` is free by now.
            before = values.view(np.uint8)[: out.nbytes].view(out.dtype)
            narrow(original, chunk.out_dtype, before, scratch)
        differs = self._differs[: out.size]
        np.not_equal(out, before, out=differs)
        changed = int(np.count_nonzero(differs))
        return Tally(before.size, weight, change, changed, _infinite(out))

    def _buffers(self, size: int) -> tuple[Floats, ...]:
        if not self._blocks or self._blocks[0].size < size:
            self._blocks = tuple(np.empty(size, self._dtype) for _ in range(3))
            self._differs = np.empty(size, np.bool_)
        return tuple(block[:size] for block in self._blocks)


def _room(buffer: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return buffer if buffer.size >= size else np.empty(size, np.uint8)


def _infinite(out: NDArray[np.generic]) -> int:
    # Only float16 has a range so small that a weight may leave it.
    return int(np.count_nonzero(np.isinf(out))) if out.dtype == np.float16 else 0


def read_whole(stored: Stored | Computed) -> NDArray[np.float32]:
    """All numbers of one tensor of the base, in its shape. Raises OSError and SetupError."""
    if isinstance(stored, Computed):
        return stored.load()
    buffer = read_bytes(stored)
    values = np.empty(buffer.size // ITEM_BYTES[stored.dtype], np.float32)
    widen(buffer.view(STORED[stored.dtype]), stored.dtype, values)
    return values.reshape(stored.shape)


def read_bytes(stored: Stored) -> NDArray[np.uint8]:
    """The bytes of one tensor of the base. Raises OSError and SetupError."""
    buffer = np.empty(stored.size, np.uint8)
    with stored.file.open("rb") as file:
        _read_all(file.fileno(), buffer, stored.start)
    return buffer


def _blocks(chunk: Chunk) -> Iterator[slice]:
    height = max(1, BLOCK_NUMBERS // chunk.columns)
    for first in range(chunk.rows.start, chunk.rows.stop, height):
        yield slice(first, min(first + height, chunk.rows.stop))


def _read_all(file: int, buffer: NDArray[np.uint8], start: int) -> None:
    view = memoryview(buffer.data)
    while view:
        count = os.preadv(file, [view], start)
        if not count:
            raise SetupError(
                "a weights file of the base became shorter while it was read; nothing was finished"
            )
        view, start = view[count:], start + count


def _write_all(file: int, values: NDArray[np.generic], start: int) -> None:
    view = memoryview(values.view(np.uint8).data)
    while view:
        count = os.pwrite(file, view, start)
        view, start = view[count:], start + count

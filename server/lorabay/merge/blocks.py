"""The hot loop: rows of one tensor, from the base through the steps into the output's file.

Rows are taken block by block. A block is read, computed, and written while it is still in the
processor's cache. The rows of a tensor may be merged in any order and at the same time. The effect
on the numbers is returned as a `Tally`. This module does not know adapters or the plan.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.base.tensors import read_into
from lorabay.files.rounding import STORED, narrow, widen
from lorabay.files.safetensors_header import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lorabay.files.rounding import Floats
    from lorabay.merge.steps import Step

    Rows = Callable[[slice], NDArray[np.float32]]

BLOCK_NUMBERS = 1 << 17
"""Numbers that are read, computed and written at a time. Their buffers fit into the cache of one
core, and small writes find free pages faster than large ones."""


_TAME = 1e76
"""A sum of squares below which no number is over 1e38, which every dtype but float16 can hold."""

_BF16_EXPONENT = np.uint16(0x7F80)
"""Bits that are all set in an infinity or NaN."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over numbers of one tensor. Tallies of its parts add up to that of the whole."""

    count: int = 0

    weight: float = 0.0
    """Sum of the squares of the base's numbers."""

    change: float = 0.0
    """Sum of the squares of the change, before rounding."""

    changed: int = 0
    """Numbers that differ from the base's own, stored in the same dtype."""

    not_finite: int = 0
    """Numbers that are infinite or NaN as they are stored, and finite in the base."""

    def plus(self, other: Tally) -> Tally:
        return Tally(
            self.count + other.count,
            self.weight + other.weight,
            self.change + other.change,
            self.changed + other.changed,
            self.not_finite + other.not_finite,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A matrix in an open file: row after row from byte `start` on."""

    file: int
    start: int
    dtype: str
    columns: int

    def offset(self, row: int) -> int:
        """Return the byte at which a row begins."""
        return self.start + row * self.columns * ITEM_BYTES[self.dtype]


@dataclass(frozen=True, slots=True, eq=False)
class Merging:
    """One tensor, seen as a matrix, that is merged."""

    source: Place | Floats | Rows
    """The base's numbers: in a file, or as float32 in memory or made a few rows at a time."""

    steps: tuple[Step, ...]

    change: float | None
    """Norm of the change, where the steps know it; else it is measured."""

    target: Place

    @property
    def source_dtype(self) -> str:
        return self.source.dtype if isinstance(self.source, Place) else "F32"

    @property
    def keeps_dtype(self) -> bool:
        """Whether the base's stored numbers can be compared with the output's as they are."""
        return isinstance(self.source, Place) and self.source.dtype == self.target.dtype


class Workspace:
    """Buffers of one worker. They are made once: memory in use is cached and has its pages."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = np.dtype(dtype)
        self._stored = np.empty(0, np.uint8)
        self._written = np.empty(0, np.uint8)
        self._blocks: tuple[Floats, ...] = ()
        self._differs = np.empty(0, np.bool_)

    def run(self, merging: Merging, rows: slice) -> Tally:
        """Read, compute and write these rows. Rows from 0 on count a change that is known.

        Raise OSError, and SetupError if the base's file became shorter.
        """
        change = merging.change if rows.start == 0 else None
        tally = Tally(change=change**2 if change else 0.0)

        for block in _blocks(rows, merging.target.columns):
            before = self._read(merging.source, block, merging.target.columns)
            out = self._output(merging.target, before.size)
            # What is not finite is counted; NumPy need not warn of it.
            with np.errstate(all="ignore"):
                tally = tally.plus(self._merge(merging, block, before, out))
            _write_all(merging.target.file, out, merging.target.offset(block.start))
        return tally

    def _read(
        self, source: Place | Floats | Rows, rows: slice, columns: int
    ) -> NDArray[np.generic]:
        """Return the rows as one vector, as they are stored."""
        if callable(source):
            return source(rows).reshape(-1)
        if not isinstance(source, Place):
            # Rows first: an array that takes no memory (broadcast) must not be copied as a whole.
            return source.reshape(-1, columns)[rows].reshape(-1)

        size = source.offset(rows.stop) - source.offset(rows.start)
        self._stored = _at_least(self._stored, size)
        buffer = self._stored[:size]
        read_into(buffer, source.file, source.offset(rows.start))
        return buffer.view(STORED[source.dtype])

    def _output(self, target: Place, count: int) -> NDArray[np.generic]:
        size = count * ITEM_BYTES[target.dtype]
        self._written = _at_least(self._written, size)
        return self._written[:size].view(STORED[target.dtype])

    def _merge(
        self, merging: Merging, rows: slice, before: NDArray[np.generic], out: NDArray[np.generic]
    ) -> Tally:
        """Fill `out` with the merged rows, and return the sums over them."""
        values, scratch, original = self._buffers(before.size)
        out_dtype = merging.target.dtype

        widen(before, merging.source_dtype, values)
        if not merging.steps:
            return Tally(not_finite=_round(values, merging, before, out, scratch))

        # A norm that the steps know costs no copy of the numbers from before.
        weight = float(np.vdot(values, values))
        measured = merging.change is None
        if measured or not merging.keeps_dtype:
            original[...] = values

        matrix = (rows.stop - rows.start, merging.target.columns)
        for step in merging.steps:
            step.apply(rows, values.reshape(matrix), scratch.reshape(matrix))

        change = 0.0
        if measured:
            np.subtract(values, original, out=scratch)
            change = float(np.vdot(scratch, scratch))

        not_finite = _round(values, merging, before, out, scratch)
        if not merging.keeps_dtype:
            # The base's own numbers in the output's dtype; `values` is free by now.
            before = values.view(np.uint8)[: out.nbytes].view(out.dtype)
            narrow(original, out_dtype, before, scratch)

        differs = self._differs[: out.size]
        np.not_equal(out, before, out=differs)
        changed = int(np.count_nonzero(differs))
        return Tally(before.size, weight, change, changed, not_finite)

    def _buffers(self, size: int) -> tuple[Floats, ...]:
        if not self._blocks or self._blocks[0].size < size:
            self._blocks = tuple(np.empty(size, self._dtype) for _ in range(3))
            self._differs = np.empty(size, np.bool_)
        return tuple(block[:size] for block in self._blocks)


def _blocks(rows: slice, columns: int) -> Iterator[slice]:
    height = max(1, BLOCK_NUMBERS // max(1, columns))
    for first in range(rows.start, rows.stop, height):
        yield slice(first, min(first + height, rows.stop))


def _at_least(buffer: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return buffer if buffer.size >= size else np.empty(size, np.uint8)


def _round(
    values: Floats,
    merging: Merging,
    before: NDArray[np.generic],
    out: NDArray[np.generic],
    scratch: Floats,
) -> int:
    """Write `values` into `out` in the output's dtype; return how many are no longer finite.

    `before` are the base's stored numbers. `values` and `scratch` are destroyed.
    """
    # One sum tells that no number is near the end of the range of any dtype but float16.
    is_tame = merging.target.dtype != "F16" and bool(np.vdot(values, values) < _TAME)
    narrow(values, merging.target.dtype, out, scratch)
    if is_tame:
        return 0

    base = np.empty(before.size, values.dtype)
    widen(before, merging.source_dtype, base)
    lost = np.isfinite(base) & ~_is_finite(out, merging.target.dtype)
    return int(np.count_nonzero(lost))


def _is_finite(stored: NDArray[np.generic], dtype: str) -> NDArray[np.bool_]:
    finite: NDArray[np.bool_]
    if dtype == "BF16":
        finite = (stored.view(np.uint16) & _BF16_EXPONENT) != _BF16_EXPONENT
    else:
        finite = np.isfinite(stored)
    return finite


def _write_all(file: int, values: NDArray[np.generic], start: int) -> None:
    view = memoryview(values.view(np.uint8).data)
    while view:
        count = os.pwrite(file, view, start)
        view, start = view[count:], start + count

"""The tensors of a base, and the numbers that they hold: integers as they are, floats as float32.

A `Stored` tensor lies in a file, a `Computed` one must be made from others. Both are read as a
whole, with plain reads, each time they are asked for. This module does not know what tensors mean.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.errors import SetupError
from lorabay.files.rounding import STORED, widen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

_INTEGERS: dict[str, np.dtype[Any]] = {
    "I8": np.dtype("<i1"),
    "U8": np.dtype("<u1"),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "BOOL": np.dtype("<u1"),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor in a file of the base. `start` and `size` are in bytes, from the file's begin."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int

    def read_bytes(self) -> NDArray[np.uint8]:
        """Return the bytes. Raise OSError, and SetupError if the file has become shorter."""
        data = np.empty(self.size, np.uint8)
        with self.file.open("rb") as file:
            read_into(data, file.fileno(), self.start)
        return data

    def values(self) -> NDArray[Any]:
        """Return the numbers in their shape. Raise as `read_bytes` does."""
        data = self.read_bytes()

        # Packed weights and their zero points: integers would lose bits as float32.
        if self.dtype in _INTEGERS:
            return data.view(_INTEGERS[self.dtype]).reshape(self.shape)

        # NumPy lacks this type; its 256 codes are looked up in a table.
        if self.dtype == "F8_E4M3":
            decoded: NDArray[np.float32] = _float8()[data]
            return decoded.reshape(self.shape)

        numbers = data.view(STORED[self.dtype])
        values = np.empty(numbers.size, np.float32)
        widen(numbers, self.dtype, values)
        return values.reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Computed:
    """A tensor that is made as a whole: de-quantised, or supplied by an adapter alone.

    `parts` names the stored tensors that it is made from and stands in place of. `rows` computes a
    few rows of a tensor that is too large to be made as a whole; its rows are those of all its
    matrices, one after the other.
    """

    shape: tuple[int, ...]
    load: Callable[[], NDArray[np.float32]]
    parts: tuple[str, ...] = ()
    rows: Callable[[slice], NDArray[np.float32]] | None = None

    def values(self) -> NDArray[np.float32]:
        """Compute the numbers in their shape. Raise OSError and SetupError."""
        return self.load()


def read_into(buffer: NDArray[np.uint8], file: int, start: int) -> None:
    """Fill `buffer` with the bytes of an open file from `start` on.

    Raise OSError, and SetupError if the file ends before the buffer is full.
    """
    view = memoryview(buffer.data)
    while view:
        # One call may read less than the buffer has room for.
        count = os.preadv(file, [view], start)
        if not count:
            raise SetupError(
                "a weights file of the base became shorter while it was read; nothing was finished"
            )
        view, start = view[count:], start + count


@cache
def _float8() -> NDArray[np.float32]:
    """Return the value of each of the 256 codes of F8_E4M3, which has NaN but no infinity.

    Its parts are a sign, four bits of exponent and three of mantissa (Micikevicius et al. 2022).
    """
    code = np.arange(256)
    sign = np.where(code & 0x80, -1.0, 1.0)
    exponent = (code >> 3) & 0xF
    mantissa = code & 7

    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    subnormal = mantissa / 8 * 2.0**-6
    values = np.where(exponent, normal, subnormal)
    values[(code & 0x7F) == 0x7F] = np.nan

    signed: NDArray[np.float32] = (sign * values).astype(np.float32)
    return signed

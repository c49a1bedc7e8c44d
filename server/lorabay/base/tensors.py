"""Tensors of a quantised base as NumPy arrays of the numbers that they hold: integers as they are,
floats as float32.

Also takes packed integers apart. Read one at a time with plain reads; nothing is kept.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.files.rounding import STORED, widen
from lorabay.merge.blocks import read_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorabay.base.files import Stored

_INTEGERS: dict[str, np.dtype[Any]] = {
    "I8": np.dtype("<i1"),
    "U8": np.dtype("<u1"),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "BOOL": np.dtype("<u1"),
}


def read_raw(stored: Stored) -> NDArray[Any]:
    """The tensor in its shape. Raises OSError and SetupError."""
    data = read_bytes(stored)
    if stored.dtype in _INTEGERS:
        return data.view(_INTEGERS[stored.dtype]).reshape(stored.shape)
    if stored.dtype == "F8_E4M3":
        decoded: NDArray[np.float32] = _float8()[data]
        return decoded.reshape(stored.shape)
    numbers = data.view(STORED[stored.dtype])
    values = np.empty(numbers.size, np.float32)
    widen(numbers, stored.dtype, values)
    return values.reshape(stored.shape)


def unpack(
    words: NDArray[np.int32], bits: int, order: tuple[int, ...] | None = None
) -> NDArray[np.uint8]:
    """Each 32-bit word as the numbers of so many bits in it, along the last axis: lowest bits
    first, or the positions in `order`."""
    count = 32 // bits
    shifts = np.array(order or tuple(range(count)), np.uint32) * np.uint32(bits)
    parts = (words.view(np.uint32)[..., None] >> shifts) & np.uint32((1 << bits) - 1)
    return parts.astype(np.uint8).reshape(*words.shape[:-1], words.shape[-1] * count)


@cache
def _float8() -> NDArray[np.float32]:
    """All 256 values of the float with four exponent and three mantissa bits; it has NaN and no
    infinity.
    """
    code = np.arange(256)
    sign = np.where(code & 0x80, -1.0, 1.0)
    exponent, mantissa = (code >> 3) & 0xF, code & 7
    values = np.where(exponent, (1 + mantissa / 8) * 2.0 ** (exponent - 7), mantissa / 8 * 2.0**-6)
    values[(code & 0x7F) == 0x7F] = np.nan
    signed: NDArray[np.float32] = (sign * values).astype(np.float32)
    return signed

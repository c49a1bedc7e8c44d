"""Numbers as they are stored and as they are computed with: widening, and the one rounding back.

Everything works in place on blocks that fit into the processor's cache. Values are rounded to
nearest, ties to even, once: also from float64. Knows nothing of files or tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32] | NDArray[np.float64]

STORED: dict[str, np.dtype[Any]] = {
    "BF16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
"""How NumPy sees the bytes of a floating-point tensor; BF16, which it lacks, as bit patterns."""

UNIT_ROUNDOFF = {"BF16": 2.0**-8, "F16": 2.0**-11, "F32": 2.0**-24, "F64": 2.0**-53}
"""Largest relative error of one rounding to a dtype."""


def widen(stored: NDArray[np.generic], dtype: str, out: Floats) -> None:
    """Write the values of `stored`, a vector, into `out`; exact but for float64 values into
    float32.
    """
    if dtype != "BF16":
        out[...] = stored
    elif out.dtype == np.float32:
        np.left_shift(stored, 16, out=out.view(np.uint32), dtype=np.uint32, casting="unsafe")
    else:
        out[...] = (stored.astype(np.uint32) << 16).view(np.float32)


def narrow(values: Floats, dtype: str, out: NDArray[np.generic], scratch: Floats) -> None:
    """Round `values`, a vector that is destroyed, into `out`. What is too large becomes infinite,
    and NaN stays NaN.

    `scratch` is a vector of the same kind.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype != "BF16":
            out[...] = values
            return
        nans = np.isnan(values) if np.isnan(np.vdot(values, values)) else None
        bits = (values if values.dtype == np.float32 else _rounded_to_odd(values)).view(np.uint32)
    low = scratch.view(np.uint32)[: bits.size]
    np.right_shift(bits, 16, out=low)
    low &= 1
    low += 0x7FFF
    bits += low
    bits >>= 16
    np.copyto(out, bits, casting="unsafe")
    if nans is not None:
        out[nans] = 0x7FC0


def _rounded_to_odd(values: Floats) -> NDArray[np.float32]:
    """float32 values from which one more rounding gives what rounding `values` directly would give.

    Cut off towards zero, and the last bit set wherever something was cut off.
    """
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    bits = near.view(np.uint32)
    back = near.astype(np.float64)
    bits -= np.abs(back) > np.abs(values)
    bits |= (back != values) & np.isfinite(values)
    return near

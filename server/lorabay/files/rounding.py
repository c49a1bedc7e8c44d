"""Numbers as files store them and as they are computed with: widening, and the one rounding back.

Values are rounded once, to the nearest, ties to even; also from float64. `widen` and `narrow` work
in place on vectors, so that a caller can keep its blocks in the processor's cache. This module does
not know files or tensors.
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
"""NumPy's type for the bytes of each float dtype; BF16, which NumPy lacks, is its bit patterns."""

UNIT_ROUNDOFF = {"BF16": 2.0**-8, "F16": 2.0**-11, "F32": 2.0**-24, "F64": 2.0**-53}
"""Largest relative error of one rounding to each dtype."""

_BF16_NAN = 0x7FC0


def widen(stored: NDArray[np.generic], dtype: str, out: Floats) -> None:
    """Write the values of the vector `stored` into `out`.

    The result is exact, but for float64 values that go into float32.
    """
    # A bfloat16 is the upper half of a float32.
    if dtype != "BF16":
        out[...] = stored
    elif out.dtype == np.float32:
        np.left_shift(stored, 16, out=out.view(np.uint32), dtype=np.uint32, casting="unsafe")
    else:
        out[...] = (stored.astype(np.uint32) << 16).view(np.float32)


def narrow(values: Floats, dtype: str, out: NDArray[np.generic], scratch: Floats) -> None:
    """Round the vector `values` to `dtype` and write the result into `out`.

    `values` is destroyed; `scratch` is a vector of the same kind. Values that are too large become
    infinite, and NaN stays NaN.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype != "BF16":
            out[...] = values
            return

        # One sum tells whether any value is NaN, which is rare.
        nans = np.isnan(values) if np.isnan(np.vdot(values, values)) else None
        single = values if values.dtype == np.float32 else _rounded_to_odd(values)

    # Add just less than half of the last bit that stays, and one more where that bit is odd.
    bits = single.view(np.uint32)
    odd = scratch.view(np.uint32)[: bits.size]
    np.right_shift(bits, 16, out=odd)
    odd &= 1
    odd += 0x7FFF
    bits += odd
    bits >>= 16
    np.copyto(out, bits, casting="unsafe")

    # The carry may have run from a NaN's mantissa into its exponent and sign.
    if nans is not None:
        out[nans] = _BF16_NAN


def _rounded_to_odd(values: Floats) -> NDArray[np.float32]:
    """Return float32 values that round to bfloat16 as `values`, which are float64, would directly.

    Each is cut off towards zero, and its last bit is set if something was cut off (Boldo and
    Melquiond 2008).
    """
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    bits = near.view(np.uint32)
    back = near.astype(np.float64)
    bits -= np.abs(back) > np.abs(values)
    bits |= (back != values) & np.isfinite(values)
    return near

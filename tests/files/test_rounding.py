"""Numbers are widened exactly and rounded once, to the nearest, ties to even, as torch does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as arrays

from lorabay.files.rounding import STORED, narrow, widen

TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
SPECIAL = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    1e-45,
    1.1754944e-38,
    3.3895314e38,
    3.4e38,
    65504.0,
    65520.0,
    1.0,
    1.00390625,
]


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    out = np.empty(values.size, STORED[dtype])
    narrow(values.copy(), dtype, out, np.empty_like(values))
    return out


def as_torch(stored: np.ndarray, dtype: str) -> torch.Tensor:
    return torch.from_numpy(stored.view(np.uint8).copy()).view(TORCH[dtype])


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@given(values=arrays.arrays(np.float32, arrays.array_shapes(max_dims=1, max_side=50)))
def test_float32_is_rounded_as_torch_does(dtype: str, values: np.ndarray) -> None:
    """This holds for any float32, NaN and infinity included."""
    values = np.concatenate([values, np.array(SPECIAL, np.float32)])
    ours = as_torch(rounded(values, dtype), dtype)
    theirs = torch.from_numpy(values).to(TORCH[dtype])
    assert torch.equal(ours.isnan(), theirs.isnan())
    assert torch.equal(ours[~ours.isnan()], theirs[~theirs.isnan()])


def test_float64_is_rounded_once() -> None:
    """A number just above the middle of two bfloat16 goes up, though float32 cannot see it."""
    middle = 1 + 2.0**-8  # between 1 and 1 + 2**-7
    values = np.array(
        [middle, middle + 2.0**-40, middle - 2.0**-40, -middle - 2.0**-40, 2.0**-140 + 2.0**-170]
    )
    widened = np.empty(values.size, np.float64)
    widen(rounded(values, "BF16"), "BF16", widened)
    assert widened.tolist() == [1.0, 1 + 2.0**-7, 1.0, -1 - 2.0**-7, 0.0]


@given(values=arrays.arrays(np.float64, arrays.array_shapes(max_dims=1, max_side=50)))
def test_float64_to_bfloat16_is_the_nearest(values: np.ndarray) -> None:
    """No bfloat16 neighbour of the result is nearer to the number."""
    values = values[np.abs(values) < 3e38]
    bits = rounded(values, "BF16")
    out = np.empty(values.size, np.float64)
    widen(bits, "BF16", out)
    for step in (-1, 1):
        neighbour = np.empty(values.size, np.float64)
        widen((bits.astype(np.int64) + step).clip(0, 0xFFFF).astype(np.uint16), "BF16", neighbour)
        known = np.isfinite(neighbour) & np.isfinite(out)
        assert (np.abs(out - values)[known] <= np.abs(neighbour - values)[known]).all()


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("wide", [np.float32, np.float64])
def test_widening_is_exact(dtype: str, wide: type) -> None:
    """Rounding the widened numbers returns the same bits."""
    bits = np.random.default_rng(0).integers(0, 0x7C00, 1000, np.uint16)
    stored = bits if dtype == "BF16" else bits.view(np.float16).astype(STORED[dtype])
    out = np.empty(stored.size, wide)
    widen(stored, dtype, out)
    assert torch.equal(torch.from_numpy(out).double(), as_torch(stored, dtype).double())
    assert np.array_equal(rounded(out, dtype), stored)

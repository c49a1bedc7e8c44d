"""Numbers in the dtypes of adapters are rounded once, scaled, padded and checked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from lorabay.files.safetensors_header import TensorInfo
from lorabay.files.tensors import Tensor, from_bytes, from_float32
from tests import making

FLOATS = arrays.arrays(
    np.float32, (3, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)


def tensor(values: object, dtype: str) -> Tensor:
    array = np.asarray(values, np.float32)
    raw = making.stored(array, dtype)
    return from_bytes(raw.data, TensorInfo("x", dtype, array.shape, 0, len(raw.data)))


@given(FLOATS)
def test_bfloat16_rounds_to_the_nearest_even(values: np.ndarray) -> None:
    """No bfloat16 is nearer to a value than the chosen one; a tie goes to the even pattern."""
    bits = from_float32(values, "BF16").values.astype(np.int64)
    for value, chosen in zip(values.ravel().astype(np.float64), bits.ravel(), strict=True):
        neighbours = [
            near
            for near in (chosen - 1, chosen, chosen + 1)
            if 0 <= near <= 0xFFFF and near & 0x7FFF < 0x7F80
        ]
        distance = {
            near: abs(float(np.uint32(near << 16).view(np.float32)) - value) for near in neighbours
        }
        if chosen in distance:
            ties = [near for near in neighbours if distance[near] == min(distance.values())]
            assert chosen in ties
            assert len({near & 0x7FFF for near in ties}) == 1 or chosen % 2 == 0
        else:
            assert abs(value) > 3.38e38


@given(FLOATS)
def test_values_exact_in_a_dtype_survive_the_way_there_and_back(values: np.ndarray) -> None:
    """Float32 is kept as it is, and numbers that fit bfloat16 come back unchanged."""
    assert np.array_equal(from_float32(values, "F32").as_float32(), values)
    held = from_float32(values, "BF16").as_float32()
    assert np.array_equal(from_float32(held, "BF16").as_float32(), held)


@given(FLOATS)
@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_the_largest_magnitude(dtype: str, values: np.ndarray) -> None:
    """Whatever the sign; of values that are not all finite it is not finite."""
    held = from_float32(values, dtype)
    assert held.largest == np.abs(held.as_float32()).max()
    for wrong in (np.nan, np.inf, -np.inf):
        values[1, 2] = wrong
        assert not np.isfinite(from_float32(values, dtype).largest)
    assert from_float32(values[:0], dtype).largest == 0


def test_a_double_that_is_too_large_is_infinite() -> None:
    """float64 is computed with in float32."""
    values = np.asarray([1e300, 0.1])
    raw = values.tobytes()
    large = from_bytes(raw, TensorInfo("x", "F64", values.shape, 0, len(raw)))
    assert not large.is_finite
    assert large.as_float32().tolist() == [np.inf, np.float32(0.1)]


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_one_bad_value_is_found(dtype: str, bad: float) -> None:
    """A single NaN or infinity among good values, of either sign and in each dtype, is noticed."""
    assert tensor([[1.0, -2.0], [0.0, 4.0]], dtype).is_finite
    assert not tensor([[1.0, -2.0], [bad, 4.0]], dtype).is_finite


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_zero_of_either_sign_is_zero(dtype: str) -> None:
    """A tensor of 0.0 and -0.0 is all zero; one tiny value makes the difference."""
    assert tensor([[0.0, -0.0]], dtype).is_zero
    assert not tensor([[0.0, 2.0**-14]], dtype).is_zero


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_scaling_by_one_keeps_every_bit_and_by_two_doubles(dtype: str) -> None:
    """A factor of 1 returns the same tensor; a power of two is exact."""
    original = tensor([[1.5, -3.0]], dtype)
    assert original.scaled(1.0) is original
    assert original.scaled(2.0).as_float32().tolist() == [[3.0, -6.0]]


@pytest.mark.parametrize(("dtype", "factor"), [("F16", 1e6), ("BF16", 1e39), ("F32", 1e300)])
def test_a_product_that_does_not_fit_is_infinite(dtype: str, factor: float) -> None:
    """An overflow becomes a value that the check for finite numbers refuses, without a warning."""
    assert not tensor([[3.0]], dtype).scaled(factor).is_finite


def test_padding_adds_zeros_and_nothing_else() -> None:
    """The old values stay in their corner."""
    padded = tensor([[1.0, 2.0]], "BF16").padded((2, 3))
    assert padded.as_float32().tolist() == [[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]

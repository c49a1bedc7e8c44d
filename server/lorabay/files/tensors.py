"""The numbers of one adapter tensor: from bytes, checked, scaled, padded.

Tensors are NumPy arrays of raw values; bfloat16, which NumPy lacks, is carried as uint16 next to
its dtype's name. They are made from bytes, never from a mapped file: a file that is cut short under
a mapping would kill the process. This module knows nothing of adapters or files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.files.rounding import STORED, narrow, widen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorabay.files.safetensors_header import TensorInfo

DTYPE_NAMES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""The dtypes of adapter weights: name in safetensors -> name in PyTorch."""

_BF16_WITHOUT_SIGN = 0x7FFF


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """Values in their stored form; `values` of a BF16 tensor are its uint16 bit patterns."""

    dtype: str
    values: NDArray[np.generic]

    @property
    def is_finite(self) -> bool:
        """Whether no value is infinite or NaN."""
        return math.isfinite(self.largest)

    @property
    def largest(self) -> float:
        """The largest magnitude; not finite if any value is not."""
        if self.values.size == 0:
            return 0.0
        if self.dtype == "BF16":
            # Without their signs, patterns are in the order of the numbers; NaN comes last.
            bits = (self.values.view(np.uint16) & _BF16_WITHOUT_SIGN).max()
            return float((np.uint32(bits) << np.uint32(16)).view(np.float32))
        # What float32 cannot hold is computed with as infinite.
        with np.errstate(over="ignore"):
            wide = self.values.astype(np.float32, copy=False)
            return float(np.maximum(wide.max(), -wide.min()))

    @property
    def is_zero(self) -> bool:
        """Whether every value is 0 or -0."""
        # Almost every tensor shows in its first row that it is not.
        if self.values.ndim > 1 and len(self.values) > 1 and not _first_row(self).is_zero:
            return False
        if self.dtype == "BF16":
            return not bool((self.values.view(np.uint16) & _BF16_WITHOUT_SIGN).any())
        return not bool(self.values.any())

    @property
    def is_one(self) -> bool:
        """Whether every value is 1 up to float32's rounding of a norm."""
        return bool((np.abs(self.as_float32() - 1) < 1e-6).all())

    def as_float32(self) -> NDArray[np.float32]:
        """Return a copy of the values: exact, but for those in float64, which are rounded."""
        wide = np.empty(self.values.shape, np.float32)
        with np.errstate(over="ignore"):
            widen(self.values, self.dtype, wide)
        return wide

    def scaled(self, factor: float) -> Tensor:
        """Return the tensor times `factor`, computed in float32 and rounded once.

        A factor of 1 changes no bit.
        """
        if factor == 1.0:
            return self
        with np.errstate(over="ignore", invalid="ignore"):
            return from_float32(self.as_float32() * np.float32(factor), self.dtype)

    def padded(self, shape: tuple[int, int]) -> Tensor:
        """Return the matrix with zero rows and columns added up to `shape`."""
        if self.values.shape == shape:
            return self
        rows, columns = self.values.shape
        missing = ((0, shape[0] - rows), (0, shape[1] - columns))
        return Tensor(self.dtype, np.pad(self.values, missing))


def _first_row(tensor: Tensor) -> Tensor:
    return Tensor(tensor.dtype, tensor.values[0])


def from_float32(values: NDArray[np.float32], dtype: str) -> Tensor:
    """Return `values` rounded to `dtype`; those that are too large become infinite."""
    if dtype != "BF16":
        with np.errstate(over="ignore"):
            return Tensor(dtype, values.astype(STORED[dtype]))

    flat = values.flatten()  # a copy, which `narrow` may destroy
    rounded = np.empty(flat.size, STORED[dtype])
    narrow(flat, dtype, rounded, np.empty_like(flat))
    return Tensor(dtype, rounded.reshape(values.shape))


def from_bytes(data: bytes | bytearray, info: TensorInfo) -> Tensor:
    """Return the tensor that `info` describes. `data` are exactly its bytes."""
    return Tensor(info.dtype, np.frombuffer(data, STORED[info.dtype]).reshape(info.shape))

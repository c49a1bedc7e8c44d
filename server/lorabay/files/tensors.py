"""Numbers inside adapter tensors: from bytes, checking, scaling, and the safetensors header that
describes them.

Tensors are NumPy arrays of raw values; bfloat16, which NumPy lacks, is carried as uint16 next to
its dtype name. They are made from bytes, never from a mapped file: a file cut short under a mapping
would kill the process. Knows nothing of adapters or files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.files.safetensors_header import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from numpy.typing import NDArray

    from lorabay.files.safetensors_header import TensorInfo

    class Described(Protocol):
        """Anything with a tensor's name, dtype and shape."""

        @property
        def name(self) -> str: ...
        @property
        def dtype(self) -> str: ...
        @property
        def shape(self) -> tuple[int, ...]: ...


DTYPE_NAMES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
"""The dtypes of adapter weights: name in safetensors -> name in PyTorch."""

_STORED: dict[str, np.dtype[np.generic]] = {
    "BF16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """Values in their stored form; `values` of a BF16 tensor are its uint16 bit patterns."""

    dtype: str
    values: NDArray[np.generic]

    @property
    def is_finite(self) -> bool:
        if self.dtype == "BF16":
            # All exponent bits set means infinity or NaN.
            return not bool(((self.values.view(np.uint16) & 0x7F80) == 0x7F80).any())
        return bool(np.isfinite(self.values.astype(np.float32, copy=False)).all())

    @property
    def is_zero(self) -> bool:
        # As numbers, so that -0.0 counts as zero; a BF16 pattern without its sign bit is one.
        return not bool(
            (self.values.view(np.uint16) & 0x7FFF if self.dtype == "BF16" else self.values).any()
        )

    @property
    def is_one(self) -> bool:
        """Whether every value is 1 up to float32's rounding of a norm."""
        return bool((np.abs(self.as_float32() - 1) < 1e-6).all())

    def as_float32(self) -> NDArray[np.float32]:
        if self.dtype == "BF16":
            return (self.values.astype(np.uint32) << 16).view(np.float32)
        return self.values.astype(np.float32)

    def scaled(self, factor: float) -> Tensor:
        """Times `factor`, computed in float32 and rounded once to nearest even. A factor of 1
        changes no bit.
        """
        if factor == 1.0:
            return self
        with np.errstate(over="ignore", invalid="ignore"):
            return from_float32(self.as_float32() * np.float32(factor), self.dtype)

    def padded(self, shape: tuple[int, int]) -> Tensor:
        """A matrix with zero rows and columns added up to `shape`."""
        if self.values.shape == shape:
            return self
        rows, columns = self.values.shape
        return Tensor(
            self.dtype, np.pad(self.values, ((0, shape[0] - rows), (0, shape[1] - columns)))
        )


def from_float32(values: NDArray[np.float32], dtype: str) -> Tensor:
    """`values` rounded to `dtype`; what does not fit becomes infinite."""
    if dtype != "BF16":
        with np.errstate(over="ignore"):
            return Tensor(dtype, values.astype(_STORED[dtype]))
    bits = values.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # Rounding up may carry a NaN's bits into the exponent and sign; keep it a NaN.
    return Tensor(dtype, np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16))


def from_bytes(data: bytes | bytearray, info: TensorInfo) -> Tensor:
    """The tensor that `info` describes, from exactly its bytes."""
    return Tensor(info.dtype, np.frombuffer(data, _STORED[info.dtype]).reshape(info.shape))


def storage_order(tensor: Described) -> tuple[int, str]:
    """Sort key of the one order in which tensors are written and hashed: wide dtypes first, so that
    all are aligned.
    """
    return -ITEM_BYTES[tensor.dtype], tensor.name


def safetensors_header(tensors: Iterable[Described], size: int = 0) -> bytes:
    """The header of a safetensors file that holds `tensors` back to back in the given order, filled
    up to `size`.
    """
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for tensor in tensors:
        end = position + ITEM_BYTES[tensor.dtype] * int(np.prod(tensor.shape, dtype=np.int64))
        entries[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * max(-len(text) % 8, size - 8 - len(text))
    return len(text).to_bytes(8, "little") + text

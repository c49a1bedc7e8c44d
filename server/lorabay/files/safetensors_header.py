"""Reads the header of a safetensors file without trusting it.

Guarantees: at most `max_bytes` are read, no tensor byte is touched, and every tensor of a returned
header lies inside the file, has a known dtype and exactly as many bytes as its shape needs, with no
gap and no overlap. Every defect is a reason, never an exception. Knows nothing of adapters or of
what the tensors mean.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from typing import BinaryIO

# Four-bit and smaller types pack several values into a byte and never occur in adapters or servable
# base weights.
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip

LENGTH_BYTES = 8
"""What tells the length of the header, in front of it."""

_MAX_DIMENSIONS = 8
_MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies: `start` and `end` count from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(file: BinaryIO, *, max_bytes: int) -> tuple[TensorInfo, ...] | Rejected:
    """The tensors that the file holds, by name, or every reason why the header cannot be used. May
    raise OSError.
    """
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(LENGTH_BYTES)
    if len(prefix) < LENGTH_BYTES:
        return rejected(
            [
                Reason(
                    "header_truncated", f"the safetensors file has only {size} bytes; copy it again"
                )
            ]
        )
    length = int.from_bytes(prefix, "little")
    if length > max_bytes:
        return rejected(
            [
                Reason(
                    "header_too_large",
                    f"the safetensors header claims {length} bytes; at most {max_bytes} are read",
                )
            ]
        )
    if length > size - LENGTH_BYTES:
        return rejected(
            [
                Reason(
                    "header_truncated",
                    f"the safetensors header claims {length} bytes, the file has {size}",
                )
            ]
        )
    try:
        entries = json.loads(file.read(length), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return rejected(
            [
                Reason(
                    "header_not_json",
                    f"the safetensors header is not valid JSON: {quoted(str(error))}",
                )
            ]
        )
    if not isinstance(entries, dict):
        return rejected([Reason("header_malformed", "the safetensors header is not a JSON object")])
    entries.pop("__metadata__", None)
    return _check_entries(entries, data_start=LENGTH_BYTES + length, size=size)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _check_entries(
    entries: dict[str, object], *, data_start: int, size: int
) -> tuple[TensorInfo, ...] | Rejected:
    tensors: list[TensorInfo] = []
    reasons: list[Reason] = []
    for name, entry in entries.items():
        parsed = _parse_entry(name, entry, data_start)
        if isinstance(parsed, Reason):
            reasons.append(parsed)
        else:
            tensors.append(parsed)
    if not reasons:
        reasons += _layout_problems(tensors, data_start=data_start, size=size)
    return rejected(reasons) if reasons else tuple(sorted(tensors, key=lambda tensor: tensor.name))


def _parse_entry(name: str, entry: object, data_start: int) -> TensorInfo | Reason:
    if len(name) > _MAX_NAME:
        return Reason("header_malformed", f"a tensor name is too long: {quoted(name)}")
    match entry:
        case {
            "dtype": str() as dtype,
            "shape": list() as shape,
            "data_offsets": [int() as start, int() as end],
        }:
            pass
        case _:
            return Reason(
                "header_malformed", f"tensor {quoted(name)} lacks dtype, shape or data_offsets"
            )
    if dtype not in ITEM_BYTES:
        return Reason(
            "tensor_dtype", f"tensor {quoted(name)} has the unknown dtype {quoted(dtype)}"
        )
    if len(shape) > _MAX_DIMENSIONS or not all(type(dim) is int and dim >= 0 for dim in shape):
        return Reason(
            "header_malformed", f"tensor {quoted(name)} has no valid shape: {quoted(shape)}"
        )
    if math.prod(shape) * ITEM_BYTES[dtype] != end - start:
        return Reason(
            "tensor_bytes",
            f"tensor {quoted(name)} of shape {quoted(shape)} and dtype {dtype} does not fit its {end - start} bytes",
        )
    return TensorInfo(name, dtype, tuple(shape), data_start + start, data_start + end)


def _layout_problems(tensors: list[TensorInfo], *, data_start: int, size: int) -> list[Reason]:
    position = data_start
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)):
        if tensor.start != position:
            return [
                Reason(
                    "tensor_offsets",
                    f"tensor {quoted(tensor.name)} overlaps another or follows a gap",
                )
            ]
        position = tensor.end
    if position > size:
        return [
            Reason(
                "data_truncated",
                f"the safetensors file ends {position - size} bytes early; copy it again",
            )
        ]
    if position < size:
        return [
            Reason(
                "data_trailing",
                f"the safetensors file has {size - position} bytes that no tensor owns",
            )
        ]
    return []

"""The header of a safetensors file: read without trust, and written.

Reading takes at most `max_bytes` and no tensor byte. Every tensor of an accepted header lies inside
the file, has a known dtype and exactly as many bytes as its shape needs, without gap or overlap.
Every defect is a reason, never an exception. This module does not know what the tensors mean.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from lorabay.files.impostors import SNIFFED_BYTES, impostor, text_instead
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO, Protocol

    class Described(Protocol):
        """Anything that has a tensor's name, dtype and shape."""

        @property
        def name(self) -> str: ...
        @property
        def dtype(self) -> str: ...
        @property
        def shape(self) -> tuple[int, ...]: ...


# Types of four bits and less pack several values into a byte. They never occur in adapters or in
# weights of a base that can be served.
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""Size of one number of each dtype in bytes."""

LENGTH_BYTES = 8
"""Size of the length field at the start of the file."""

REMEMBERED_BYTES = 1 << 18
"""Bytes of a header that is remembered for the next file with the same one, at most."""

_MAX_DIMENSIONS = 8
_MAX_NAME = 256

_PROBLEMS_AT_MOST = 1000
"""Wrong entries after which the others are not looked at; a header has room for a million."""

_FILE = "the safetensors file"
"""What a reason calls the file; whoever opened it knows its name."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The place of one tensor; `start` and `end` are in bytes, from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    def rows(self, first: int, count: int) -> TensorInfo:
        """Return the place of `count` whole rows from `first` on; rows are the first dimension."""
        row_bytes = (self.end - self.start) // self.shape[0]
        start = self.start + first * row_bytes
        shape = (count, *self.shape[1:])
        return replace(self, shape=shape, start=start, end=start + count * row_bytes)


def read_header(file: BinaryIO, *, max_bytes: int) -> tuple[TensorInfo, ...] | Rejected:
    """Return the tensors by name, or every reason why the header cannot be used. Raise OSError."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(SNIFFED_BYTES)
    if len(start) < LENGTH_BYTES:
        return _refused("header_truncated", f"{_FILE} has only {size} bytes; copy it again")

    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    problem = _other_file(start) or _length_problem(length, max_bytes, size)
    if problem is not None:
        return rejected([problem])

    file.seek(LENGTH_BYTES)
    text = file.read(length)
    if length > REMEMBERED_BYTES:
        return _parse(text, size)
    return _parse_again(text, size)


def _parse(text: bytes, size: int) -> tuple[TensorInfo, ...] | Rejected:
    """Return the tensors of a header in a file of that size, or why it cannot be used."""
    try:
        entries = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return _refused(
            "header_not_json", f"the safetensors header is not valid JSON: {quoted(str(error))}"
        )
    if not isinstance(entries, dict):
        return _refused("header_malformed", "the safetensors header is not a JSON object")

    entries.pop("__metadata__", None)
    return _check_entries(entries, data_start=LENGTH_BYTES + len(text), size=size)


_parse_again = lru_cache(maxsize=8)(_parse)
"""The same for a header that may come again: in a copy, or in adapters of one recipe."""


def read_metadata(file: BinaryIO, *, max_bytes: int) -> dict[str, str]:
    """Return the texts that the writer of a file put into its header. Raise OSError.

    They are empty for a header that `read_header` refuses.
    """
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > max_bytes:
        return {}
    try:
        metadata = json.loads(file.read(length)).get("__metadata__", {})
        return {str(name): str(text) for name, text in metadata.items()}
    except (ValueError, RecursionError, AttributeError):
        return {}


def header_bytes(
    tensors: Iterable[Described], size: int = 0, metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return the header of a file that holds `tensors` back to back in this order.

    `metadata` are further texts for its readers. Spaces fill it up to `size` bytes.
    """
    entries: dict[str, object] = {"__metadata__": {**(metadata or {}), "format": "pt"}}
    position = 0
    for tensor in tensors:
        end = position + ITEM_BYTES[tensor.dtype] * math.prod(tensor.shape)
        entries[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end

    text = json.dumps(entries, separators=(",", ":")).encode()
    # The data must begin at a multiple of eight.
    text += b" " * max(-len(text) % 8, size - LENGTH_BYTES - len(text))
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def storage_order(tensor: Described) -> tuple[int, str]:
    """Return the sort key of the one order in which tensors are written and hashed.

    Wide dtypes come first, so that all are aligned.
    """
    return -ITEM_BYTES[tensor.dtype], tensor.name


def _other_file(start: bytes) -> Reason | None:
    """Return what the file is, by its first bytes, if it is no safetensors file at all."""
    # Every header begins so; the length before it may look like anything.
    is_itself = start[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{"
    other = None if is_itself else impostor(_FILE, start)
    return other or text_instead(_FILE, start)


def _length_problem(length: int, max_bytes: int, size: int) -> Reason | None:
    if length > max_bytes:
        text = f"the safetensors header claims {length} bytes; at most {max_bytes} are read"
        return Reason("header_too_large", text)
    if length > size - LENGTH_BYTES:
        text = f"the safetensors header claims {length} bytes, the file has {size}"
        return Reason("header_truncated", text)
    return None


def _refused(code: str, text: str) -> Rejected:
    return rejected([Reason(code, text)])


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name occurs twice")
    return entries


def _check_entries(
    entries: dict[str, object], *, data_start: int, size: int
) -> tuple[TensorInfo, ...] | Rejected:
    tensors: list[TensorInfo] = []
    reasons: list[Reason] = []
    for place, (name, entry) in enumerate(entries.items()):
        parsed = _parse_entry(name, entry, data_start)
        if isinstance(parsed, Reason):
            reasons.append(parsed)
            if len(reasons) >= _PROBLEMS_AT_MOST:
                left = len(entries) - place - 1
                text = f"{left} more entries were not looked at"
                return rejected([*reasons, Reason("header_malformed", text)])
        else:
            tensors.append(parsed)

    if not reasons:
        problem = _layout_problem(tensors, data_start=data_start, size=size)
        if problem is not None:
            reasons.append(problem)
    if reasons:
        return rejected(reasons)
    return tuple(sorted(tensors, key=lambda tensor: tensor.name))


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
    # `type(...) is int`: True is an int, too.
    if len(shape) > _MAX_DIMENSIONS or not all(type(dim) is int and dim >= 0 for dim in shape):
        return Reason(
            "header_malformed", f"tensor {quoted(name)} has no valid shape: {quoted(shape)}"
        )
    if math.prod(shape) * ITEM_BYTES[dtype] != end - start:
        return Reason(
            "tensor_bytes",
            f"tensor {quoted(name)} of shape {quoted(shape)} and dtype {dtype} does not fit its "
            f"{end - start} bytes",
        )
    return TensorInfo(name, dtype, tuple(shape), data_start + start, data_start + end)


def _layout_problem(tensors: list[TensorInfo], *, data_start: int, size: int) -> Reason | None:
    """Return why the tensors do not fill the file from `data_start` to its end, if they do not."""
    position = data_start
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)):
        if tensor.start != position:
            return Reason(
                "tensor_offsets",
                f"tensor {quoted(tensor.name)} overlaps another or follows a gap",
            )
        position = tensor.end

    if position > size:
        return Reason(
            "data_truncated",
            f"the safetensors file ends {position - size} bytes early; copy it again",
        )
    if position < size:
        return Reason(
            "data_trailing",
            f"the safetensors file has {size - position} bytes that no tensor owns",
        )
    return None

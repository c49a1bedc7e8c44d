"""What adapters cost: each in the memory of the host, and a slot in the memory of a GPU.

An estimate from files and shapes, made before there is an engine. Knows nothing of how much memory
there is, nor of vLLM's classes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.files.adapter_folder import WEIGHTS_FILE, Limits
from lorabay.files.safetensors_header import read_header
from lorabay.reasons import Rejected

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.versions import Version

LOOKED_INTO = 16
"""Of many adapters, only the headers of the largest are read: one of them needs most memory."""


@dataclass(frozen=True, slots=True)
class SlotCost:
    """What slots of one rank take of a GPU's memory, all of them together."""

    slots: int
    rank: int
    total_bytes: int


def number_bytes(options: Mapping[str, Any]) -> int:
    """Return the size of one number of an adapter in the engine, whatever its file holds."""
    lora_dtype = options.get("lora_dtype", "auto")
    dtype = options.get("dtype", "auto") if lora_dtype == "auto" else lora_dtype
    return 4 if dtype in ("float", "float32") else 2


def largest_host_bytes(versions: Sequence[Version], number: int, *, pinned: bool) -> int:
    """Return what the largest of `versions` takes in a worker's memory; 0 if there is none.

    Beside a GPU an adapter's memory is pinned, and torch pins each tensor in a block of a power of
    two. Reads headers.
    """
    largest = heapq.nlargest(LOOKED_INTO, versions, key=lambda version: version.spec.size_bytes)
    return max((_host_bytes(version, number, pinned=pinned) for version in largest), default=0)


def _host_bytes(version: Version, number: int, *, pinned: bool) -> int:
    sizes = [number * count for count in _tensor_lengths(version)]
    if not sizes:
        # The folder is unreadable now: twice the file covers another type, or the rounding.
        return 2 * version.spec.size_bytes

    return sum(_power_of_two(size) for size in sizes) if pinned else sum(sizes)


def _tensor_lengths(version: Version) -> Iterator[int]:
    """Yield the number of values of each tensor; nothing if the file cannot be read."""
    with suppress(OSError), (version.path / WEIGHTS_FILE).open("rb") as file:
        tensors = read_header(file, max_bytes=Limits().header_bytes)
        if not isinstance(tensors, Rejected):
            yield from (math.prod(tensor.shape) for tensor in tensors)


def _power_of_two(size: int) -> int:
    """Return the smallest power of two that is not under `size`."""
    return 1 << max(size - 1, 0).bit_length()


def slot_cost(
    shapes: BaseShapes, slots: int, rank: int, number: int, targets: Collection[str] | None
) -> SlotCost:
    """Return what `slots` cost on a GPU: each has room for `rank` on every module that is adapted.

    `targets` are the last parts of those modules' names, all of them if None. Modules that the base
    stores packed are left out, since their shapes are not known.
    """
    widths = 0
    for module, shape in shapes.shapes.items():
        if shape is not None and _is_target(module, targets) and not shapes.is_unused(module):
            widths += sum(shape)

    # The experts of a layer may lie in one tensor; each of them has factors of its own.
    for name, sides in shapes.tensors.items():
        if len(sides) == 3 and "experts" in name and _is_target(name, targets):
            widths += sides[0] * (sides[1] + sides[2])

    return SlotCost(slots, rank, slots * rank * number * widths)


def _is_target(module: str, targets: Collection[str] | None) -> bool:
    return targets is None or module.rpartition(".")[2] in targets

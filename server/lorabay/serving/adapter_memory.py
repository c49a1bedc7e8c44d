"""What adapters cost: each in the memory of the host, and a slot in the memory of a GPU.

An estimate from files and shapes, made before there is an engine. Knows nothing of how much memory
there is, nor of vLLM's classes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.files.adapter_folder import WEIGHTS_FILE, Limits
from lorabay.files.safetensors_header import read_header
from lorabay.reasons import Rejected
from lorabay.serving.machine_defaults import SMALLEST_RANK

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.versions import AdapterSpec, Version

LOOKED_INTO = 16
"""Of many adapters, only the headers of the largest are read: one of them needs most memory."""


@dataclass(frozen=True, slots=True)
class SlotCost:
    """What slots of one rank take of a GPU's memory, all of them together."""

    slots: int
    rank: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class RankSetters:
    """The few adapters for which every slot is larger than the rest need it, and by how much."""

    adapters: tuple[AdapterName, ...]
    rest: int
    """The rank limit that all others fit."""


def number_bytes(options: Mapping[str, Any]) -> int:
    """Return the size of one number of an adapter in the engine, whatever its file holds."""
    lora_dtype = options.get("lora_dtype", "auto")
    dtype = options.get("dtype", "auto") if lora_dtype == "auto" else lora_dtype
    return 4 if dtype in ("float", "float32") else 2


def largest_host_bytes(versions: Sequence[Version], number: int, *, pinned: bool) -> int:
    """Return what the largest of `versions` takes in a worker's memory; 1 if there is none.

    Beside a GPU an adapter's memory is pinned, and torch pins each tensor in a block of a power of
    two. Reads headers.
    """
    largest = heapq.nlargest(LOOKED_INTO, versions, key=lambda version: version.spec.size_bytes)
    return max((_host_bytes(version, number, pinned=pinned) for version in largest), default=1)


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
        is_target = targets is None or module.rpartition(".")[2] in targets
        if shape is not None and is_target and not shapes.is_unused(module):
            widths += sum(shape)

    return SlotCost(slots, rank, slots * rank * number * widths)


def rank_setters(
    specs: Mapping[AdapterName, AdapterSpec], allowed_ranks: Iterable[int], rank: int
) -> RankSetters | None:
    """Return the adapters that alone need slots of `rank`; None if others need them too.

    They are few: at most a tenth of all, or one of several.
    """
    lower = [allowed for allowed in sorted(allowed_ranks) if SMALLEST_RANK <= allowed < rank]
    if not lower:
        return None

    setters = [name for name, spec in specs.items() if spec.rank > lower[-1]]
    others = [spec.rank for spec in specs.values() if spec.rank <= lower[-1]]
    if not setters or not others or len(setters) > max(1, len(specs) // 10):
        return None

    rest = next(allowed for allowed in lower if allowed >= max(others))
    return RankSetters(tuple(sorted(setters)), rest)

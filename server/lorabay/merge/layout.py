"""The form of a merged model's weights: their dtype, and the files that they are put into.

Works on headers, and reads no numbers. Knows nothing of what an adapter changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.base.files import SINGLE_FILE
from lorabay.base.tensors import Computed
from lorabay.files.safetensors_header import ITEM_BYTES
from lorabay.merge.tensors import Shard, Target

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Form of the output."""

    dtype: str | None = None
    """Name in safetensors of the dtype of all floats; None keeps that of each tensor."""

    max_shard_bytes: int | None = None
    """Largest size of a weights file; None keeps the files of the base."""

    keeps_packing: bool = False
    """Whether the output is quantised as the base is."""

    packed: frozenset[str] = frozenset()
    """Tensors that keep their dtype, because they are parts of packed weights."""

    metadata: Mapping[Path, Mapping[str, str]] = field(default_factory=dict)
    """Texts in the headers of the base's files, which readers of packed weights need."""


def put_into_files(targets: list[Target], layout: Layout) -> tuple[Shard, ...]:
    """Return the weights files of the output, each with its tensors in their order."""
    limit = layout.max_shard_bytes
    groups = _by_file(targets) if limit is None else _by_size(targets, limit)
    if len(groups) == 1:
        return (_shard(SINGLE_FILE, groups[0], layout),)

    shards = []
    for number, group in enumerate(groups, 1):
        name = f"model-{number:05}-of-{len(groups):05}.safetensors"
        shards.append(_shard(name, group, layout))
    return tuple(shards)


def _shard(name: str, targets: list[Target], layout: Layout) -> Shard:
    # Wide dtypes first, so that every tensor is aligned.
    in_order = sorted(targets, key=lambda target: -ITEM_BYTES[target.dtype])
    return Shard(name, tuple(in_order), _metadata(targets, layout))


def _metadata(targets: list[Target], layout: Layout) -> dict[str, str]:
    """Return the texts in the headers of the files that the tensors come from."""
    texts: dict[str, str] = {}
    for target in targets:
        if not isinstance(target.source, Computed):
            texts.update(layout.metadata.get(target.source.file, {}))
    return texts


def _by_file(targets: list[Target]) -> list[list[Target]]:
    """Group the targets by the base's files. A computed tensor goes with the one before it."""
    groups: dict[object, list[Target]] = {}
    file: object = None
    for target in targets:
        if not isinstance(target.source, Computed):
            file = target.source.file
        groups.setdefault(file, []).append(target)
    return list(groups.values())


def _by_size(targets: list[Target], limit: int) -> list[list[Target]]:
    """Fill groups in order up to `limit` bytes. A tensor that is larger has its own group."""
    groups: list[list[Target]] = [[]]
    size = 0
    for target in targets:
        if groups[-1] and size + target.size > limit:
            groups.append([])
            size = 0
        groups[-1].append(target)
        size += target.size
    return groups

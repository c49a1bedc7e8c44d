"""The merged model as a plan: every tensor, its origin, its file, and a config that fits them.

Pure: works on headers and updates, and reads no numbers. Decides when a tied head must part from
its embedding. An adapter that changed only one of the two makes them differ, and a config that
still ties them would undo its change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.files import INDEX_FILE, SINGLE_FILE
from lorabay.base.shapes import is_embedding
from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.files.rounding import STORED
from lorabay.files.safetensors_header import ITEM_BYTES
from lorabay.merge.merged_config import merged_config
from lorabay.merge.tensors import Shard, Target
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Update
    from lorabay.base.tensors import Stored

HEAD = "lm_head.weight"
DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
"""Values of `--dtype`: name in a config -> name in safetensors."""

_SHOWN = 5
_FLOATS = frozenset(STORED)


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


@dataclass(frozen=True, slots=True)
class Plan:
    """The files to write, in order, and the config of the result."""

    shards: tuple[Shard, ...]
    config: Mapping[str, object]

    untied: bool
    """Whether the head was tied to the embedding and no longer is."""

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(shard.size for shard in self.shards)

    @property
    def index(self) -> dict[str, object] | None:
        """Content of the index file; None where one file holds all under its usual name."""
        if [shard.file for shard in self.shards] == [SINGLE_FILE]:
            return None

        weight_map: dict[str, str] = {}
        for shard in self.shards:
            for target in shard.targets:
                weight_map[target.name] = shard.file
        return {"metadata": {"total_size": self.size}, "weight_map": weight_map}

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the weights files and, if there is one, of the index."""
        names = tuple(shard.file for shard in self.shards)
        return names if self.index is None else (*names, INDEX_FILE)

    @property
    def targets(self) -> Iterator[Target]:
        """The tensors of all files."""
        for shard in self.shards:
            yield from shard.targets

    @property
    def changed(self) -> tuple[Target, ...]:
        """Tensors that have updates. A tensor that is only stored in another dtype is not one."""
        return tuple(target for target in self.targets if target.updates)


def plan_merge(
    sources: Mapping[str, Stored | Computed],
    config: Mapping[str, object],
    updates: Mapping[str, tuple[Update, ...]],
    changes: Mapping[str, object],
    layout: Layout,
) -> Plan:
    """Return the plan of merging `updates` into the base's tensors `sources`.

    `sources` are in the order of the base's files. `config` is the base's, and `changes` are the
    fields of it that the adapter sets. Raise SetupError if the updates do not fit the base.
    """
    sources = dict(sources)
    updates = dict(updates)
    untied = False

    embedding = next((name for name in sources if is_embedding(_module(name))), None)
    if embedding is not None and (HEAD not in sources or _ties_head(config)):
        untied = updates.get(embedding, ()) != updates.get(HEAD, ())
        if HEAD not in sources and untied:
            sources[HEAD] = _as_head(sources[embedding])
        elif HEAD not in sources:
            # Both have the same updates, and only the embedding is stored.
            updates.pop(HEAD, None)

    _check_names(updates, sources)

    # An embedding of another size brings its rows along, and so does the head.
    vocabulary = changes.get("vocab_size")
    rows = vocabulary if isinstance(vocabulary, int) else None

    targets = []
    for name, source in sources.items():
        dtype = None if name in layout.packed else layout.dtype
        targets.append(_target(name, source, updates.get(name, ()), dtype, rows))

    names = {stored: name for name, stored in DTYPES.items()}
    merged = merged_config(
        config,
        changes,
        dtype=names.get(layout.dtype or ""),
        keeps_packing=layout.keeps_packing,
        untied=untied,
    )
    return Plan(_shards(targets, layout), merged, untied)


def _module(tensor: str) -> str:
    return tensor.removesuffix(".weight")


def _ties_head(config: Mapping[str, object]) -> bool:
    text = config.get("text_config")
    inner = text.get("tie_word_embeddings") if isinstance(text, Mapping) else None
    return True in (config.get("tie_word_embeddings"), inner)


def _as_head(embedding: Stored | Computed) -> Stored | Computed:
    return embedding if isinstance(embedding, Computed) else replace(embedding, name=HEAD)


def _check_names(updates: Mapping[str, object], sources: Mapping[str, object]) -> None:
    """Raise SetupError if there are updates of tensors that the base does not have."""
    unknown = sorted(updates.keys() - sources.keys())
    if not unknown:
        return

    names = ", ".join(map(quoted, unknown[:_SHOWN]))
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    raise SetupError(f"the adapter does not fit the base, which has no {names}{more}")


def _target(
    name: str,
    source: Stored | Computed,
    updates: tuple[Update, ...],
    dtype: str | None,
    rows: int | None,
) -> Target:
    """Return one tensor of the output. `rows` is the adapter's vocabulary, if it sets one."""
    stored = "F32" if isinstance(source, Computed) else source.dtype
    if updates and stored not in _FLOATS:
        raise SetupError(f"the base stores {quoted(name)} as {stored}, which cannot be merged into")

    shape = source.shape
    replaced = bool(updates) and not updates[0].needs_base
    has_vocabulary = name == HEAD or is_embedding(_module(name))
    if replaced and has_vocabulary and rows is not None and shape[0] != rows:
        shape = (rows, *shape[1:])
        # The base has no values of this shape; the whole tensor counts as changed.
        source = Computed(shape, partial(_zeros, shape))

    out_dtype = dtype if dtype is not None and stored in _FLOATS else stored
    return Target(name, out_dtype, shape, source, updates)


def _zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the former values of a tensor that got another shape; they take no memory."""
    return np.broadcast_to(np.float32(0), shape)


def _shards(targets: list[Target], layout: Layout) -> tuple[Shard, ...]:
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

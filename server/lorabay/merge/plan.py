"""What the merged model consists of: every tensor, its origin, its file, and a config that fits
them.

Pure: works on headers and updates, reads no number. Decides when a tied head must part from its
embedding: an adapter that changed only one of the two gives a model in which they differ, and one
config field too many would undo that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Replaced
from lorabay.base.files import INDEX_FILE, SINGLE_FILE
from lorabay.base.shapes import is_embedding
from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.files.rounding import STORED
from lorabay.files.safetensors_header import ITEM_BYTES
from lorabay.merge.tensors import Shard, Target
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Update
    from lorabay.base.tensors import Stored

HEAD = "lm_head.weight"
DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
"""What `--dtype` takes: name in a config -> name in safetensors."""
_SHOWN = 5
_FLOATS = frozenset(STORED)
_QUANTISED = frozenset({"quantization_config", "compression_config"})


@dataclass(frozen=True, slots=True)
class Layout:
    """`dtype` (None: each tensor keeps its own) and `max_shard_bytes` (None: the base's files)."""

    dtype: str | None = None
    max_shard_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The files to write, in order, and the config of the result. `untied`: the head parted from
    the embedding.
    """

    shards: tuple[Shard, ...]
    config: Mapping[str, object]
    untied: bool

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(shard.size for shard in self.shards)

    @property
    def index(self) -> dict[str, object] | None:
        """The index file; None where one file holds all under its usual name."""
        if [shard.file for shard in self.shards] == [SINGLE_FILE]:
            return None
        parts = {target.name: shard.file for shard in self.shards for target in shard.targets}
        return {"metadata": {"total_size": self.size}, "weight_map": parts}

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the weights files and of the index."""
        index = () if self.index is None else (INDEX_FILE,)
        return (*(shard.file for shard in self.shards), *index)

    @property
    def changed(self) -> tuple[Target, ...]:
        """The tensors to which something is done besides storing them in another dtype."""
        return tuple(target for shard in self.shards for target in shard.targets if target.updates)


def plan_merge(
    sources: Mapping[str, Stored | Computed],
    config: Mapping[str, object],
    updates: Mapping[str, tuple[Update, ...]],
    changes: Mapping[str, object],
    layout: Layout,
) -> Plan:
    """`sources` are the base's tensors in the order of their files, `changes` the config fields
    that the adapter sets.

    Raises SetupError naming what does not fit.
    """
    tie = _tie(sources, config, updates)
    embedding = _embedding(sources)
    sources = dict(sources)
    if tie.untied and embedding is not None and HEAD not in sources:
        sources[HEAD] = _as_head(sources[embedding])
    if not tie.untied and tie.was_tied:
        updates = {
            name: update for name, update in updates.items() if name != HEAD or name in sources
        }
    unknown = sorted(updates.keys() - sources.keys())
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        names = ", ".join(quoted(name) for name in unknown[:_SHOWN])
        raise SetupError(f"the adapter does not fit the base, which has no {names}{more}")
    rows = changes.get("vocab_size")
    targets = [
        _target(
            name,
            source,
            updates.get(name, ()),
            layout.dtype,
            rows if isinstance(rows, int) else None,
        )
        for name, source in sources.items()
    ]
    return Plan(
        tuple(_shards(targets, layout.max_shard_bytes)),
        _config(config, changes, layout, tie),
        tie.untied,
    )


@dataclass(frozen=True, slots=True)
class _Tie:
    was_tied: bool
    untied: bool


def _tie(
    sources: Mapping[str, object],
    config: Mapping[str, object],
    updates: Mapping[str, tuple[Update, ...]],
) -> _Tie:
    embedding = _embedding(sources)
    tied = embedding is not None and (HEAD not in sources or _flag(config))
    of_embedding, of_head = (updates.get(name or "", ()) for name in (embedding, HEAD))
    return _Tie(tied, tied and of_embedding != of_head)


def _embedding(names: Iterable[str]) -> str | None:
    return next((name for name in names if is_embedding(name.removesuffix(".weight"))), None)


def _flag(config: Mapping[str, object]) -> bool:
    text = config.get("text_config")
    inner = text.get("tie_word_embeddings") if isinstance(text, Mapping) else None
    return True in (config.get("tie_word_embeddings"), inner)


def _as_head(embedding: Stored | Computed) -> Stored | Computed:
    return embedding if isinstance(embedding, Computed) else replace(embedding, name=HEAD)


def _target(
    name: str,
    source: Stored | Computed,
    updates: tuple[Update, ...],
    dtype: str | None,
    rows: int | None,
) -> Target:
    stored = "F32" if isinstance(source, Computed) else source.dtype
    if updates and stored not in _FLOATS:
        raise SetupError(f"the base stores {quoted(name)} as {stored}, which cannot be merged into")
    shape = source.shape
    whole = bool(updates) and isinstance(updates[0], Replaced)
    if whole and rows is not None and _has_vocabulary(name) and shape[0] != rows:
        shape = (rows, *shape[1:])
        source = Computed(shape, partial(_nothing, shape))
    return Target(name, dtype if dtype and stored in _FLOATS else stored, shape, source, updates)


def _nothing(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What a replaced tensor of another shape was before; takes no memory."""
    return np.broadcast_to(np.float32(0), shape)


def _has_vocabulary(name: str) -> bool:
    return name == HEAD or is_embedding(name.removesuffix(".weight"))


def _shards(targets: list[Target], limit: int | None) -> Iterator[Shard]:
    groups = _by_file(targets) if limit is None else _by_size(targets, limit)
    count = len(groups)
    for number, group in enumerate(groups, 1):
        name = SINGLE_FILE if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"
        yield Shard(name, tuple(sorted(group, key=lambda target: -ITEM_BYTES[target.dtype])))


def _by_file(targets: list[Target]) -> list[list[Target]]:
    """As the base has them; what is not of a file goes with the tensor before it."""
    groups: dict[object, list[Target]] = {}
    file: object = None
    for target in targets:
        file = file if isinstance(target.source, Computed) else target.source.file
        groups.setdefault(file, []).append(target)
    return list(groups.values())


def _by_size(targets: list[Target], limit: int) -> list[list[Target]]:
    groups: list[list[Target]] = [[]]
    for target in targets:
        if groups[-1] and sum(other.size for other in groups[-1]) + target.size > limit:
            groups.append([])
        groups[-1].append(target)
    return groups


def _config(
    config: Mapping[str, object], changes: Mapping[str, object], layout: Layout, tie: _Tie
) -> dict[str, object]:
    merged = {name: value for name, value in config.items() if name not in _QUANTISED}
    merged = _with(merged, changes)
    if tie.untied:
        merged = _with(merged, {"tie_word_embeddings": False})
    if layout.dtype is not None:
        dtype = next(name for name, short in DTYPES.items() if short == layout.dtype)
        fields = [name for name in ("dtype", "torch_dtype") if name in merged] or ["dtype"]
        merged |= dict.fromkeys(fields, dtype)
        text = merged.get("text_config")
        if isinstance(text, Mapping):
            inner = [name for name in ("dtype", "torch_dtype") if name in text]
            merged["text_config"] = {**text, **dict.fromkeys(inner, dtype)}
    return merged


def _with(config: dict[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """A field that the config keeps with its text model is changed there, too."""
    text = config.get("text_config")
    if not isinstance(text, Mapping):
        return {**config, **changes}
    outer = {name: value for name, value in changes.items() if name in config or name not in text}
    inner = {name: value for name, value in changes.items() if name in text}
    return {**config, **outer, "text_config": {**text, **inner}}

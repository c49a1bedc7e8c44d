"""The merged model as a plan: every tensor, its origin, its file, and a config that fits them.

Pure: works on headers and updates, and reads no numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.files import INDEX_FILE, SINGLE_FILE
from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.files.rounding import STORED
from lorabay.merge.layout import put_into_files
from lorabay.merge.merged_config import merged_config
from lorabay.merge.tensors import Target
from lorabay.merge.tied_head import has_vocabulary, parted
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Update
    from lorabay.base.tensors import Stored
    from lorabay.merge.layout import Layout
    from lorabay.merge.tensors import Shard

DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
"""Values of `--dtype`: name in a config -> name in safetensors."""

_CONFIG_NAMES = {stored: name for name, stored in DTYPES.items()}

_SHOWN = 5


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
    tensors = parted(sources, updates, config)
    _check_names(tensors.updates, tensors.sources)

    # An embedding of another size brings its rows along, and so does the head.
    vocabulary = changes.get("vocab_size")
    rows = vocabulary if isinstance(vocabulary, int) else None

    targets = []
    for name, source in tensors.sources.items():
        dtype = None if name in layout.packed else layout.dtype
        targets.append(_target(name, source, tensors.updates.get(name, ()), dtype, rows))

    merged = merged_config(
        config,
        changes,
        dtype=_CONFIG_NAMES.get(layout.dtype or ""),
        keeps_packing=layout.keeps_packing,
        untied=tensors.untied,
    )
    return Plan(put_into_files(targets, layout), merged, tensors.untied)


def _check_names(updates: Mapping[str, object], sources: Mapping[str, object]) -> None:
    """Raise SetupError if there are updates of tensors that the base does not have."""
    unknown = sorted(updates.keys() - sources.keys())
    if not unknown:
        return

    names = ", ".join(map(quoted, unknown[:_SHOWN]))
    if len(unknown) > _SHOWN:
        names += f" and {len(unknown) - _SHOWN} more"
    raise SetupError(f"the adapter does not fit the base, which has no {names}")


def _target(
    name: str,
    source: Stored | Computed,
    updates: tuple[Update, ...],
    dtype: str | None,
    rows: int | None,
) -> Target:
    """Return one tensor of the output.

    `dtype` is that of all floats, if there is one, and `rows` the adapter's vocabulary, if it sets
    one. Raise SetupError for integers that have updates.
    """
    stored = "F32" if isinstance(source, Computed) else source.dtype
    is_float = stored in STORED
    if updates and not is_float:
        raise SetupError(f"the base stores {quoted(name)} as {stored}, which cannot be merged into")

    out_dtype = dtype if dtype is not None and is_float else stored
    if rows is not None and _brings_its_rows(name, updates):
        source = _with_rows(source, rows)
    return Target(name, out_dtype, source.shape, source, updates)


def _brings_its_rows(name: str, updates: tuple[Update, ...]) -> bool:
    """Return whether the adapter replaces a tensor that has a row for each token."""
    is_replaced = bool(updates) and not updates[0].needs_base
    return is_replaced and has_vocabulary(name)


def _with_rows(source: Stored | Computed, rows: int) -> Stored | Computed:
    """Return the former values of a tensor that gets so many rows."""
    if source.shape[0] == rows:
        return source
    shape = (rows, *source.shape[1:])
    # The base has no values of this shape; the whole tensor counts as changed.
    return Computed(shape, partial(_zeros, shape))


def _zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the former values of a tensor that got another shape; they take no memory."""
    return np.broadcast_to(np.float32(0), shape)

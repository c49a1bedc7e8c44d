"""A merge before its first byte is written: its settings, its inputs and its plan.

Everything that can be refused without reading weights is refused here. This module does not write,
and does not know how a tensor is merged.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.files import BaseFiles, public_name
from lorabay.base.quantised.dense import SETTINGS_FILES, read_packing
from lorabay.base.shapes import BaseShapes
from lorabay.errors import SetupError, UsageError
from lorabay.files.real_paths import real_path
from lorabay.formats.pissa import init_problems
from lorabay.formats.reading import initial_folder
from lorabay.merge.end_tokens import END_FIELD, adapter_end_tokens, as_field
from lorabay.merge.layout import Layout
from lorabay.merge.plan import DTYPES, plan_merge
from lorabay.merge.side_files import names_from, side_files
from lorabay.reasons import Rejected
from lorabay.tools.find_adapter import ChosenAdapter

if TYPE_CHECKING:
    from lorabay.base.quantised.dense import DenseBase
    from lorabay.formats.reading import AdapterUpdates
    from lorabay.merge.plan import Plan

LAYOUT = 1
"""Version of the files that a merge writes; a run of another version starts over."""

_LOADED_PACKED = frozenset({"mxfp4"})
"""Methods of packing whose models transformers loads on a CPU, where it makes them dense."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?)?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """One invocation of `lorabay merge`."""

    adapter: str
    """A folder, a name in `adapters`, or `name@digest` in `store`."""

    output: Path
    base: Path
    adapters: Path
    store: Path

    dtype: str | None = None
    """Name of the output's dtype in a config; None keeps that of the base."""

    float64: bool = False
    """Compute in float64 instead of float32."""

    max_shard_bytes: int | None = None
    """Largest size of a weights file; None keeps the files of the base."""

    overwrite: bool = False
    verify: bool = True

    prompts: Path | None = None
    """File with further prompts to verify with, one a line."""

    allow_pickle: bool = False

    initial: Path | None = None
    """Folder of the adapter as it was initialised, for initialisations that change the base."""

    residual_base: bool = False
    """Whether `base` is the base that the initialisation left, so that nothing is subtracted."""

    workers: int | None = None
    """Threads that compute; None means one for each core."""

    @property
    def stored_dtype(self) -> str | None:
        """Return `dtype` as safetensors names it. Raise UsageError if it is unknown."""
        if self.dtype is None:
            return None
        if self.dtype not in DTYPES:
            raise UsageError(f"--dtype {self.dtype!r} is none of {', '.join(DTYPES)}")
        return DTYPES[self.dtype]


@dataclass(frozen=True, slots=True)
class Job:
    """A merge that was planned and checked. None of its output is written yet."""

    settings: MergeSettings
    base: BaseFiles
    shapes: BaseShapes
    """Shapes of the base, also of its packed weights."""

    dense: DenseBase
    adapter: ChosenAdapter
    updates: AdapterUpdates
    plan: Plan

    side_files: Mapping[str, Path]
    """Name in the output -> file that is copied there."""

    end_tokens: tuple[int, ...]
    """Tokens that end a turn of the adapter and not of the base; empty if there are none."""

    digest: str
    """sha256 of the adapter's files."""

    @property
    def initial(self) -> Path | None:
        """Folder of the initial adapter, if it must be subtracted (PiSSA, for example)."""
        changes_base = any(init_problems(self.updates.config))
        if self.settings.residual_base or not changes_base:
            return None
        return self.settings.initial or initial_folder(self.adapter.folder)

    @property
    def verifies(self) -> bool:
        """Whether the result will be verified, which needs a library that loads it."""
        is_loaded = not self.dense.keeps_packing or self.dense.method in _LOADED_PACKED
        return self.settings.verify and is_loaded

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user of the merge should know before it begins."""
        warnings = (*self.updates.warnings, *self.dense.warnings)
        if self.settings.verify and not self.verifies:
            text = (
                f"not verified: no library here loads a base that is packed as {self.dense.method}"
            )
            warnings = (*warnings, text)
        return warnings

    @property
    def adapter_files(self) -> tuple[str, ...]:
        """Names of the side files that are the adapter's own."""
        return names_from(self.adapter.origin, self.side_files)

    @property
    def base_name(self) -> str:
        """Published name of the base; never a path."""
        return public_name(self.base.config, self.settings.base)

    @property
    def dtype(self) -> str:
        """Name, as in a config, of the dtype that stores most bytes of the changed tensors."""
        sizes: dict[str, int] = {}
        for target in self.plan.changed:
            sizes[target.dtype] = sizes.get(target.dtype, 0) + target.size

        largest = max(sizes, key=lambda dtype: sizes[dtype])
        return next((name for name, stored in DTYPES.items() if stored == largest), largest)

    @property
    def arithmetic(self) -> str:
        return "float64" if self.settings.float64 else "float32"

    @property
    def inputs(self) -> dict[str, object]:
        """JSON values that differ whenever a file that an earlier run finished may differ now."""
        initial = self.initial
        initial_digest = None if initial is None else ChosenAdapter.at(initial).digest()

        files = {}
        for shard in self.plan.shards:
            files[shard.file] = [(target.name, target.dtype) for target in shard.targets]

        return {
            "layout": LAYOUT,
            "base": self.base.states,
            "config": json.dumps(self.plan.config, sort_keys=True, default=str),
            "adapter": self.digest,
            "arithmetic": self.arithmetic,
            "initial": [initial_digest, self.settings.residual_base],
            "files": files,
        }


def plan_job(settings: MergeSettings, base_folder: Path, adapter: ChosenAdapter) -> Job:
    """Read headers and the adapter's config, and plan the merge of `adapter` into `base_folder`.

    `base_folder` holds the weights of `settings.base` in safetensors. Raise SetupError if they do
    not fit, or if a library that this merge needs is not installed.
    """
    base = BaseFiles.open_whole(base_folder)
    packing = read_packing(base)
    # The folder may be a temporary one; the base keeps its own name.
    shapes = packing.shapes(BaseShapes.of(base, names=(real_path(settings.base).name,)))

    updates = adapter.updates(
        shapes, initial=settings.initial, residual_base=settings.residual_base
    )
    if isinstance(updates, Rejected):
        raise SetupError(
            f"the adapter {adapter.name!r} cannot be merged into {settings.base}: {updates.line}"
        )

    dense = packing.base_for(updates.updates)
    ends = adapter_end_tokens(settings.base, adapter.origin)
    changes = dict(updates.config_changes)
    if ends:
        changes[END_FIELD] = as_field(ends)

    layout = _layout(settings, base, dense)
    plan = plan_merge(dense.tensors, base.config, updates.updates, changes, layout)
    more = SETTINGS_FILES if dense.keeps_packing else ()
    files = side_files(settings.base, adapter.origin, more)

    job = Job(settings, base, shapes, dense, adapter, updates, plan, files, ends, adapter.digest())
    # Now, because a long merge must not end at a missing library.
    _check_peft(job)
    return job


def _layout(settings: MergeSettings, base: BaseFiles, dense: DenseBase) -> Layout:
    """Return the form of the output."""
    return Layout(
        dtype=settings.stored_dtype or dense.dtype,
        max_shard_bytes=settings.max_shard_bytes,
        keeps_packing=dense.keeps_packing,
        packed=dense.packed,
        metadata=base.metadata() if dense.keeps_packing else {},
    )


def check_places(output: Path, inputs: tuple[Path, ...]) -> None:
    """Raise SetupError if `output` lies inside one of `inputs` or contains one.

    Writing there would change the inputs.
    """
    place = real_path(output)
    for folder in inputs:
        other = real_path(folder)
        if place.is_relative_to(other):
            raise SetupError(
                f"the output folder {output} lies inside {folder}, which is read; choose another"
            )

        if other.is_relative_to(place):
            raise SetupError(
                f"the output folder {output} holds {folder}, which is read; choose another"
            )


def parse_size(text: str) -> int:
    """Return the bytes that `500MB`, `2GiB` or `5000000` mean. Raise UsageError."""
    match = _SIZE.fullmatch(text.strip())
    # Text that is not a size counts as 0, which is refused.
    size = 0.0
    if match is not None:
        number, power, binary = match.groups()
        unit = 1024 if binary else 1000
        size = float(number) * unit ** _POWERS[(power or "").upper()]

    if not 1 <= size < math.inf:
        raise UsageError(f"{text!r} is no size; write it as in 500MB or 2GiB")
    return int(size)


def _check_peft(job: Job) -> None:
    """Raise SetupError if this merge needs PEFT, which comes with an extra, and it is missing."""
    if find_spec("peft") is not None:
        return

    missing = "needs PEFT, which is not installed: pip install 'lorabay[train]'"
    for target in job.plan.changed:
        if not all(update.has_formula for update in target.updates):
            raise SetupError(f"merging {job.updates.format} {missing}")
    if job.verifies:
        raise SetupError(f"verifying {missing}; --no-verify merges without")

"""Everything about a merge that is known before its first byte is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.formats.lora_config import init_problems
from lorabay.formats.reading import initial_folder
from lorabay.merge.plan import DTYPES
from lorabay.tools.find_adapter import AdapterSource

LAYOUT = 1
"""Of the files that a merge writes; another one makes a run begin anew."""

if TYPE_CHECKING:
    from lorabay.base.files import BaseWeights
    from lorabay.base.quantised.dense import DenseBase
    from lorabay.formats.reading import AdapterUpdates
    from lorabay.merge.inputs import MergeSettings
    from lorabay.merge.plan import Plan


@dataclass(frozen=True, slots=True)
class Work:
    """`files`: what is copied beside the weights. `digest`: of the adapter's files."""

    settings: MergeSettings
    base: BaseWeights
    dense: DenseBase
    adapter: AdapterSource
    updates: AdapterUpdates
    plan: Plan
    files: Mapping[str, Path]
    digest: str

    @property
    def initial(self) -> Path | None:
        """The adapter as it was initialised, where what that took out of the base must be taken out
        again.
        """
        if self.settings.residual_base or not any(init_problems(self.updates.config)):
            return None
        return self.settings.initial or initial_folder(self.adapter.folder)

    @property
    def _initial_digest(self) -> str | None:
        initial = self.initial
        return None if initial is None else AdapterSource.at(initial).digest()

    @property
    def base_name(self) -> str:
        """How the base is called in what is published; never a path."""
        return str(self.base.config.get("_name_or_path") or self.settings.base.resolve().name)

    @property
    def dtype(self) -> str:
        """The dtype in which most of the changed numbers are stored, as a config names it."""
        sizes: dict[str, int] = {}
        for target in self.plan.changed:
            sizes[target.dtype] = sizes.get(target.dtype, 0) + target.size
        most = max(sizes, key=lambda dtype: sizes[dtype])
        return next((name for name, short in DTYPES.items() if short == most), most)

    @property
    def arithmetic(self) -> str:
        return "float64" if self.settings.float64 else "float32"

    @property
    def inputs(self) -> dict[str, object]:
        """Changes whenever a file that an earlier run finished may be another now."""
        return {
            "layout": LAYOUT,
            "base": self.base.identity,
            "config": json.dumps(self.plan.config, sort_keys=True, default=str),
            "adapter": self.digest,
            "arithmetic": self.arithmetic,
            "initial": [self._initial_digest, self.settings.residual_base],
            "files": {
                shard.file: [(target.name, target.dtype) for target in shard.targets]
                for shard in self.plan.shards
            },
        }

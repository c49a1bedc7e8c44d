"""What a merge is asked to do, and the checks that need no weights: where the output may lie, what
sizes mean.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import SetupError, UsageError
from lorabay.files.real_paths import real_path
from lorabay.merge.plan import DTYPES

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?)?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """One invocation. `adapter`: a folder, a name in `adapters`, or `name@digest` in `store`.

    `dtype` None: as the base. `max_shard_bytes` None: the base's files. `initial` and
    `residual_base`: as in `catalog.adapter_updates`, for adapters whose initialisation changed the
    base.
    """

    adapter: str
    output: Path
    base: Path
    adapters: Path
    store: Path
    dtype: str | None = None
    float64: bool = False
    max_shard_bytes: int | None = None
    overwrite: bool = False
    verify: bool = True
    prompts: Path | None = None
    allow_pickle: bool = False
    initial: Path | None = None
    residual_base: bool = False
    workers: int | None = None
    """Threads; None: one for each core."""

    @property
    def stored_dtype(self) -> str | None:
        """`dtype` as safetensors names it. Raises UsageError."""
        if self.dtype is None:
            return None
        if self.dtype not in DTYPES:
            raise UsageError(f"--dtype {self.dtype!r} is none of {', '.join(DTYPES)}")
        return DTYPES[self.dtype]


def parse_size(text: str) -> int:
    """`500MB`, `2GiB` or `5000000` in bytes. Raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    base = 1024 if match and match[3] else 1000
    size = float(match[1]) * base ** _POWERS[(match[2] or "").upper()] if match else 0.0
    if not 1 <= size < math.inf:
        raise UsageError(f"{text!r} is no size; write it as in 500MB or 2GiB")
    return int(size)


def check_places(output: Path, inputs: tuple[Path, ...]) -> None:
    """Refuse an output that lies inside an input or holds one: writing it would change what is
    read.
    """
    place = real_path(output)
    for folder in inputs:
        other = real_path(folder)
        if place == other or place.is_relative_to(other):
            raise SetupError(
                f"the output folder {output} lies inside {folder}, which is read; choose another"
            )
        if other.is_relative_to(place):
            raise SetupError(
                f"the output folder {output} holds {folder}, which is read; choose another"
            )

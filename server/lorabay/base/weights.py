"""The values of the base's own weights, for what cannot be known without them: a few rows at a
time, as float32.

Plain reads of the base's safetensors; memory is bounded by the rows that are asked for. Knows
nothing of adapters.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lorabay.base.shapes import read_weights_header, weight_files
from lorabay.errors import SetupError
from lorabay.files.safetensors_header import TensorInfo
from lorabay.files.tensors import DTYPE_NAMES, from_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class BaseWeights:
    """Where every tensor of one base lies. `identity` changes when the files do."""

    places: Mapping[str, tuple[Path, TensorInfo]]
    identity: str

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Reads headers only. Raises SetupError without weights."""
        places: dict[str, tuple[Path, TensorInfo]] = {}
        facts: list[tuple[str, int, int]] = []
        for path in weight_files(folder):
            places |= {tensor.name: (path, tensor) for tensor in read_weights_header(path)}
            status = path.stat()
            facts.append((path.name, status.st_size, status.st_mtime_ns))
        return cls(places, hashlib.sha256(json.dumps(facts).encode()).hexdigest())

    def problem(self, name: str) -> str | None:
        """Why the values of a tensor cannot be had, if they cannot."""
        if name not in self.places:
            return f"the base stores no {name}; its weight is packed or lies in another tensor"
        dtype = self.places[name][1].dtype
        return (
            None
            if dtype in DTYPE_NAMES
            else f"the base stores {name} as {dtype}, which is not its dense value"
        )

    def blocks(self, name: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Blocks of whole rows, each with the number of its first; raises SetupError when the base
        has changed.
        """
        path, info = self.places[name]
        rows, width = info.shape[0], math.prod(info.shape[1:])
        row_bytes = (info.end - info.start) // max(rows, 1)
        step = max(1, _BLOCK_BYTES // max(row_bytes, 1))
        try:
            with path.open("rb") as file:
                for first in range(0, rows, step):
                    count = min(step, rows - first)
                    file.seek(info.start + first * row_bytes)
                    data = file.read(count * row_bytes)
                    if len(data) != count * row_bytes:
                        raise SetupError(
                            f"base weights {path} became shorter; restart with the whole base"
                        )
                    part = TensorInfo(name, info.dtype, (count, width), 0, len(data))
                    yield first, from_bytes(data, part).as_float32()
        except OSError as error:
            raise SetupError(f"base weights {path} cannot be read: {error.strerror}") from error

"""The values of a base's own weights, as float32, a few rows at a time.

They are read with plain reads when they are asked for, and memory is bounded by one block of rows.
Weights that are packed in a known way are made dense, one as a whole at a time. This module knows
nothing of adapters.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import read_packing
from lorabay.errors import SetupError
from lorabay.files.rounding import STORED, widen
from lorabay.files.tensors import DTYPE_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lorabay.base.tensors import Computed, Stored

_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class BaseWeights:
    """The stored tensors of one base by name. `identity` changes when a weights file does.

    `unpacked` are its packed weights by their dense names, as far as they can be made dense here.
    """

    tensors: Mapping[str, Stored]
    identity: str
    unpacked: Mapping[str, Computed] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Return the weights of a base folder. Raise SetupError if its headers cannot be read."""
        return cls.of(BaseFiles.open(folder))

    @classmethod
    def of(cls, base: BaseFiles) -> Self:
        """Return the weights of an opened base."""
        # The hash is stored with the records of a server: its input must not change form.
        states = json.dumps(base.states)
        identity = hashlib.sha256(states.encode()).hexdigest()
        try:
            return cls(base.tensors, identity, read_packing(base).computed)
        except SetupError:
            # It says that it is packed, and holds no such weights: `problem` says what is missing.
            return cls(base.tensors, identity)

    @property
    def size_bytes(self) -> int:
        """The size of all tensors as they are stored."""
        return sum(tensor.size for tensor in self.tensors.values())

    def problem(self, name: str) -> str | None:
        """Return why the values of a tensor are not available, or None if they are."""
        if name in self.unpacked:
            return None
        if name not in self.tensors:
            return f"the base stores no {name}; its weight is packed or lies in another tensor"
        dtype = self.tensors[name].dtype
        if dtype not in DTYPE_NAMES:
            return f"the base stores {name} as {dtype}, which is not its dense value"
        return None

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a tensor whose values are available; None if the base has none."""
        tensor = self.unpacked.get(name) or self.tensors.get(name)
        return None if tensor is None else tensor.shape

    def whole(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in its own shape. Raise SetupError like `blocks`."""
        rows = np.concatenate([block for _, block in self.blocks(name)])
        return rows.reshape(self.shape(name) or ())

    def blocks(self, name: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield blocks of whole rows of a tensor, each with the number of its first row.

        Rows are what the first dimension counts; the others count as one. Raise SetupError if the
        file cannot be read, or has become shorter.
        """
        if name in self.unpacked:
            yield from self._unpacked_blocks(name)
        else:
            yield from self._stored_blocks(name)

    def _unpacked_blocks(self, name: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Make a packed weight dense, and yield it in blocks of rows."""
        try:
            values = self.unpacked[name].values()
        except OSError as error:
            raise SetupError(f"base weights cannot be read: {error.strerror}") from error

        rows = values.reshape(len(values), -1)
        step = max(1, _BLOCK_BYTES // max(rows.itemsize * rows.shape[1], 1))
        for first in range(0, len(rows), step):
            yield first, rows[first : first + step]

    def _stored_blocks(self, name: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
        tensor = self.tensors[name]
        rows = tensor.shape[0]
        width = math.prod(tensor.shape[1:])
        row_bytes = tensor.size // max(rows, 1)
        # Never a part of a row: DoRA divides by the norms of whole rows.
        step = max(1, _BLOCK_BYTES // max(row_bytes, 1))

        try:
            with tensor.file.open("rb") as file:
                for first in range(0, rows, step):
                    count = min(step, rows - first)
                    file.seek(tensor.start + first * row_bytes)
                    data = file.read(count * row_bytes)
                    if len(data) != count * row_bytes:
                        raise SetupError(
                            f"base weights {tensor.file} became shorter; restart with the whole "
                            "base"
                        )

                    values = np.empty(count * width, np.float32)
                    widen(np.frombuffer(data, STORED[tensor.dtype]), tensor.dtype, values)
                    yield first, values.reshape(count, width)
        except OSError as error:
            raise SetupError(
                f"base weights {tensor.file} cannot be read: {error.strerror}"
            ) from error

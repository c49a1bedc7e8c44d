"""The tensors of the merged model: where each comes from, and the updates that it gets.

Values only. `plan` decides on them, and `shards` writes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.base.tensors import Computed
from lorabay.files.safetensors_header import ITEM_BYTES, header_bytes

if TYPE_CHECKING:
    from lorabay.algebra.updates import Update
    from lorabay.base.tensors import Stored


@dataclass(frozen=True, slots=True)
class Target:
    """One tensor of the output: the base's, with `updates` applied in order, stored as `dtype`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: Stored | Computed
    updates: tuple[Update, ...] = ()

    @property
    def copied(self) -> Stored | None:
        """Tensor of the base whose bytes are copied as they are; None if any of them may change."""
        stored = self.source
        if self.updates or isinstance(stored, Computed) or stored.dtype != self.dtype:
            return None
        return stored

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes in the output."""
        return self.numbers * ITEM_BYTES[self.dtype]

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows and columns in which the tensor is merged; a vector is a column."""
        # It is only rounded, and any rows will do.
        if not self.updates:
            return self.numbers, 1
        if not self.shape:
            return 1, 1
        return self.shape[0], math.prod(self.shape[1:])


@dataclass(frozen=True, slots=True)
class Shard:
    """One weights file of the output, with its tensors in the order in which they lie there."""

    file: str
    targets: tuple[Target, ...]

    @property
    def size(self) -> int:
        """Bytes of the tensors."""
        return sum(target.size for target in self.targets)

    @property
    def header(self) -> bytes:
        return header_bytes(self.targets)

    @property
    def file_size(self) -> int:
        """Bytes of the whole file."""
        return len(self.header) + self.size

"""The tensors of the merged model: where each comes from and what is done to it on the way.

Values only. What they are for is decided by `plan`, what they become on disk by `shards`.
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
        """Where the bytes come from when not one of them changes."""
        stored = self.source
        if self.updates or isinstance(stored, Computed) or stored.dtype != self.dtype:
            return None
        return stored

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        return self.numbers * ITEM_BYTES[self.dtype]

    @property
    def matrix(self) -> tuple[int, int]:
        """(rows, columns) in which it is worked on; a vector is a column."""
        if not self.updates:
            return self.numbers, 1
        return (self.shape[0], math.prod(self.shape[1:])) if self.shape else (1, 1)


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of the output and its tensors in the order in which they lie there."""

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
        return len(self.header) + self.size

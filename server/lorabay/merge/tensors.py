"""The tensors of the merged model: where each comes from, and the updates that it gets.

Values only. `plan` decides on them, and `shards` writes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.base.tensors import Computed
from lorabay.files.safetensors_header import ITEM_BYTES, header_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        """Rows and columns in which the tensor is merged.

        A vector is a column. The rows of experts in one tensor follow one another.
        """
        # What is only rounded has any rows, unless it is made by its own.
        made_by_rows = isinstance(self.source, Computed) and self.source.rows is not None
        is_rounded = not self.updates and not made_by_rows
        if is_rounded or len(self.shape) < 2:
            return self.numbers, 1
        return math.prod(self.shape[:-1]), self.shape[-1]


@dataclass(frozen=True, slots=True)
class Shard:
    """One weights file of the output, with its tensors in the order in which they lie there.

    `metadata` are texts of its header that readers of packed weights need.
    """

    file: str
    targets: tuple[Target, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the tensors."""
        return sum(target.size for target in self.targets)

    @property
    def header(self) -> bytes:
        return header_bytes(self.targets, metadata=self.metadata)

    @property
    def file_size(self) -> int:
        """Bytes of the whole file."""
        return len(self.header) + self.size

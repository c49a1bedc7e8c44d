"""The work on one weights file, cut into tasks that threads may run in any order.

The bytes of a tensor that does not change are copied inside the kernel; the others are computed.
Each task writes bytes of its own. Knows nothing of threads, or of when a file is complete.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from lorabay.algebra.updates import PeftLayer, Replaced
from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.merge.blocks import Merging, Place
from lorabay.merge.steps import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lorabay.base.tensors import Stored
    from lorabay.files.rounding import Floats
    from lorabay.merge.blocks import Rows, Tally, Workspace
    from lorabay.merge.peft_layer import PeftLayers
    from lorabay.merge.tensors import Shard, Target

TASK_NUMBERS = 1 << 21
"""Numbers of a tensor that one task computes."""

COPIED_BYTES = 32 << 20
"""Bytes of a tensor that one task copies."""

_READ_BYTES = 1 << 20

_CANNOT_COPY = {
    errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CopyBytes:
    """Copies `size` bytes of a tensor from `start` of one open file to `to` of another."""

    tensor: str
    size: int
    source: int
    start: int
    target: int
    to: int

    def run(self, space: Workspace) -> None:
        """Copy, in the kernel if it can. Raise OSError, and SetupError if `source` ends early."""
        done = 0
        while done < self.size:
            copied = self._copy(self.start + done, self.to + done, self.size - done)
            if not copied:
                raise SetupError(
                    "a weights file of the base became shorter while it was read; "
                    "nothing was finished"
                )
            done += copied

    def _copy(self, start: int, to: int, count: int) -> int:
        """Copy at most `count` bytes, and return how many were."""
        try:
            return os.copy_file_range(self.source, self.target, count, start, to)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
        return os.pwrite(self.target, os.pread(self.source, min(count, _READ_BYTES), start), to)


@dataclass(frozen=True, slots=True)
class MergeRows:
    """Computes rows of a tensor, and writes them into the output."""

    tensor: str
    merging: Merging
    rows: slice

    @property
    def size(self) -> int:
        """Bytes of the output that the task writes."""
        target = self.merging.target
        return target.offset(self.rows.stop) - target.offset(self.rows.start)

    def run(self, space: Workspace) -> Tally:
        """Merge the rows; return their tally. Raise OSError and SetupError."""
        return space.run(self.merging, self.rows)


Task = CopyBytes | MergeRows
"""A piece of work on one tensor, which a worker runs with a workspace that nobody else uses."""


class TaskCutter:
    """Cuts the tensors of one file, which is open as `output`, into tasks.

    A context manager, which holds the base's files open: leave it when no task runs any more.
    """

    def __init__(self, output: int, dtype: Any, layers: PeftLayers | None = None) -> None:
        self._output = output
        self._dtype = dtype
        self._layers = layers
        self._sources: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._sources.values():
            os.close(file)

    def tasks(self, shard: Shard) -> Iterator[Task]:
        """Yield the tasks of all tensors, in the order in which these lie behind the header.

        The factors of a tensor are loaded when its first task is asked for. Raise OSError and
        SetupError.
        """
        start = len(shard.header)
        for target in shard.targets:
            if target.copied is not None:
                yield from self._copies(target.copied, start)
            else:
                yield from self._merges(target, start)
            start += target.size

    def _copies(self, stored: Stored, start: int) -> Iterator[CopyBytes]:
        source = self._open(stored.file)
        for first in range(0, stored.size, COPIED_BYTES):
            yield CopyBytes(
                stored.name,
                size=min(COPIED_BYTES, stored.size - first),
                source=source,
                start=stored.start + first,
                target=self._output,
                to=start + first,
            )

    def _merges(self, target: Target, start: int) -> Iterator[MergeRows]:
        rows, columns = target.matrix
        merging = self._merging(target, Place(self._output, start, target.dtype, columns))

        height = max(1, TASK_NUMBERS // max(1, columns))
        for first in range(0, rows, height):
            yield MergeRows(target.name, merging, slice(first, min(first + height, rows)))

    def _merging(self, target: Target, place: Place) -> Merging:
        """Load the factors of one tensor, and return how it is computed into `place`."""
        steps = tuple(
            prepare(update, target.name, target.matrix, self._dtype, partial(self._layer, target))
            for update in target.updates
        )

        # The norms of several changes do not add up.
        change = steps[0].change() if len(steps) == 1 else None
        return Merging(self._source(target.source, place.columns), steps, change, place)

    def _source(self, source: Stored | Computed, columns: int) -> Place | Floats | Rows:
        if isinstance(source, Computed):
            return source.rows or source.load()
        return Place(self._open(source.file), source.start, source.dtype, columns)

    def _layer(self, target: Target, update: PeftLayer) -> NDArray[np.float32]:
        """Return the weight of `target` after PEFT's own layer has merged into it."""
        match target.updates:
            case (PeftLayer(),):
                weight = target.source.values()
            case (Replaced() as replaced, PeftLayer()):
                weight = replaced.values()
            case _:
                raise SetupError(
                    f"{target.name} is changed in more than one way, which PEFT's layers do not "
                    "merge"
                )

        if self._layers is None:
            raise SetupError(f"{target.name} needs PEFT's layers, which were not loaded")
        return self._layers.merged(update, weight.reshape(target.shape))

    def _open(self, path: Path) -> int:
        if path not in self._sources:
            self._sources[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._sources[path]

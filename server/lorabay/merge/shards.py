"""Writes the weights files of the output, all cores at work.

The bytes of a tensor that does not change are copied inside the kernel; the others are computed. A
file appears under its name only when it is whole and on disk, after the tallies of its tensors.
With them a later run need not read the file again.

Serial: the files. Parallel: the pieces of one file, in threads, because NumPy and the system calls
release the interpreter's lock. One more thread waits for the disk, whose work begins long before a
file is complete.
"""

from __future__ import annotations

import errno
import json
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from lorabay.algebra.updates import PeftLayer, Replaced
from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.safetensors_header import ITEM_BYTES
from lorabay.merge.blocks import Merging, Place, Tally, Workspace
from lorabay.merge.steps import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lorabay.base.tensors import Stored
    from lorabay.files.rounding import Floats
    from lorabay.merge.peft_layer import PeftLayers
    from lorabay.merge.tensors import Shard, Target

TASK_NUMBERS = 1 << 21
"""Numbers of a tensor that one thread computes at a time."""

_COPIED_BYTES = 32 << 20
_FLUSHED_BYTES = 64 << 20
_WAITING = 3  # tasks that are queued for each worker

_CANNOT_COPY = {
    errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF,
}  # fmt: skip
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work on one tensor, which writes `size` bytes of the output."""

    tensor: str
    size: int
    run: Callable[[], Tally | None]


class ShardWriter:
    """Writes files into one folder. A context manager: threads and disk are done at its end."""

    def __init__(
        self,
        folder: Path,
        dtype: Any,
        workers: int,
        advance: Callable[[str, int], None],
        layers: PeftLayers | None = None,
    ) -> None:
        self._folder = folder
        self._dtype = dtype
        self._advance = advance
        self._layers = layers

        self._queued = _WAITING * workers
        self._pool = ThreadPoolExecutor(workers, "merge")
        self._disk = ThreadPoolExecutor(1, "disk")
        self._finished: list[Future[None]] = []
        self._spaces: SimpleQueue[Workspace] = SimpleQueue()
        for _ in range(workers):
            self._spaces.put(Workspace(dtype))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        # Not cancelled: files that are whole are kept, also after a failure.
        self._disk.shutdown()

    def write(self, shard: Shard) -> dict[str, Tally]:
        """Fill the file of `shard`, and return the tallies of the tensors that changed.

        The file appears some time later, at the latest when `finish` returns. Raise OSError and
        SetupError.
        """
        unfinished = self._folder / f".{shard.file}.partial"
        header = shard.header

        # Not in a `with`: the disk's thread closes it, after the last byte.
        file = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            # A full disk shows now, not after an hour.
            os.posix_fallocate(file, 0, len(header) + shard.size)
            os.pwrite(file, header, 0)
            tallies = self._fill(shard, file, len(header))
        except BaseException:
            self._disk.submit(os.close, file)
            unfinished.unlink(missing_ok=True)
            raise

        finished = self._disk.submit(self._finish, file, unfinished, shard.file, tallies)
        self._finished.append(finished)
        return tallies

    def finish(self) -> None:
        """Wait until every file is on disk under its name. Raise OSError."""
        for finished in self._finished:
            finished.result()

    def _finish(self, file: int, unfinished: Path, name: str, tallies: Mapping[str, Tally]) -> None:
        try:
            os.fsync(file)
        finally:
            os.close(file)
        _write_tallies(self._folder, name, tallies)
        unfinished.replace(self._folder / name)

    def _fill(self, shard: Shard, file: int, start: int) -> dict[str, Tally]:
        """Run the tasks of all tensors of `shard`; the first begins at byte `start` of `file`."""
        tallies: dict[str, Tally] = {}
        running: deque[tuple[Task, Future[Tally | None]]] = deque()
        flush: Future[None] | None = None
        unflushed = 0

        with _OpenFiles() as sources:
            try:
                for task in self._tasks(shard, file, start, sources):
                    running.append((task, self._pool.submit(task.run)))
                    # Few tasks wait, because each keeps the factors of its tensor in memory.
                    if len(running) < self._queued:
                        continue

                    unflushed += self._collect(*running.popleft(), tallies)
                    if unflushed > _FLUSHED_BYTES and (flush is None or flush.done()):
                        # Now and then, so that the last wait for the disk is short.
                        flush = self._disk.submit(os.fdatasync, file)
                        unflushed = 0

                while running:
                    self._collect(*running.popleft(), tallies)
            finally:
                # After a failure, no task may go on with a file that will be closed.
                wait([future for _, future in running if not future.cancel()])
        return tallies

    def _collect(self, task: Task, future: Future[Tally | None], tallies: dict[str, Tally]) -> int:
        """Wait for the task, add its tally to that of its tensor, and return its bytes."""
        tally = future.result()
        if tally is not None:
            tallies[task.tensor] = tallies.get(task.tensor, Tally()).plus(tally)
        self._advance(task.tensor, task.size)
        return task.size

    def _tasks(self, shard: Shard, file: int, start: int, sources: _OpenFiles) -> Iterator[Task]:
        for target in shard.targets:
            if target.copied is not None:
                yield from _copy_tasks(target.copied, file, start, sources)
            else:
                yield from self._merge_tasks(target, file, start, sources)
            start += target.size

    def _merge_tasks(
        self, target: Target, file: int, start: int, sources: _OpenFiles
    ) -> Iterator[Task]:
        rows, columns = target.matrix

        steps = tuple(
            prepare(update, target.name, target.matrix, self._dtype, partial(self._layer, target))
            for update in target.updates
        )
        merging = Merging(
            source=_source(target.source, columns, sources),
            steps=steps,
            change=steps[0].change() if len(steps) == 1 else None,
            target=Place(file, start, target.dtype, columns),
        )

        height = max(1, TASK_NUMBERS // max(1, columns))
        for first in range(0, rows, height):
            last = min(first + height, rows)
            size = (last - first) * columns * ITEM_BYTES[target.dtype]
            yield Task(target.name, size, partial(self._run, merging, slice(first, last)))

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

    def _run(self, merging: Merging, rows: slice) -> Tally:
        # There are as many workspaces as threads, so none waits here.
        space = self._spaces.get()
        try:
            return space.run(merging, rows)
        finally:
            self._spaces.put(space)


class _OpenFiles:
    """Files of the base, each opened once and closed at the end of the block."""

    def __init__(self) -> None:
        self._open: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            os.close(file)

    def open(self, path: Path) -> int:
        if path not in self._open:
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._open[path]


def _source(source: Stored | Computed, columns: int, sources: _OpenFiles) -> Place | Floats:
    if isinstance(source, Computed):
        return source.load()
    return Place(sources.open(source.file), source.start, source.dtype, columns)


def _copy_tasks(stored: Stored, file: int, start: int, sources: _OpenFiles) -> Iterator[Task]:
    source = sources.open(stored.file)
    for first in range(0, stored.size, _COPIED_BYTES):
        count = min(_COPIED_BYTES, stored.size - first)
        copy = partial(_copy_range, source, stored.start + first, file, start + first, count)
        yield Task(stored.name, count, copy)


def _copy_range(source: int, start: int, target: int, to: int, count: int) -> None:
    """Copy `count` bytes from `start` of one file to `to` of another, in the kernel if it can.

    Raise OSError, and SetupError if `source` ends early.
    """
    while count:
        try:
            copied = os.copy_file_range(source, target, count, start, to)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
            copied = os.pwrite(target, os.pread(source, min(count, _READ_BYTES), start), to)

        if not copied:
            raise SetupError(
                "a weights file of the base became shorter while it was read; nothing was finished"
            )
        start += copied
        to += copied
        count -= copied


def read_tallies(folder: Path, file: str) -> dict[str, Tally] | None:
    """Return the tallies that were written with a weights file; None if there are none."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        tallies = json.loads(_tallies_path(folder, file).read_bytes())
        return {name: Tally(**sums) for name, sums in tallies.items()}
    return None


def _write_tallies(folder: Path, file: str, tallies: Mapping[str, Tally]) -> None:
    sums = {name: asdict(tally) for name, tally in tallies.items()}
    durable.write(_tallies_path(folder, file), json.dumps(sums), lasting=False)


def _tallies_path(folder: Path, file: str) -> Path:
    return folder / f"{file}.facts"

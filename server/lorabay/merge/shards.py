"""Writes the weights files of the output, all cores at work.

A file appears under its name only when it is whole and on disk, after the tallies of its tensors.
With them a later run need not read the file again.

Serial: the files. Parallel: the tasks of one file, in threads, because NumPy and the system calls
release the interpreter's lock. One more thread waits for the disk, whose work begins long before a
file is complete.
"""

from __future__ import annotations

import json
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import asdict
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from lorabay.files import durable
from lorabay.merge.blocks import Tally, Workspace
from lorabay.merge.tasks import TaskCutter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from pathlib import Path

    from lorabay.merge.peft_layer import PeftLayers
    from lorabay.merge.tasks import Task
    from lorabay.merge.tensors import Shard

_FLUSHED_BYTES = 64 << 20
_WAITING = 3  # tasks that are queued for each worker


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

        self._workers = _Workers(workers, dtype)
        self._disk = ThreadPoolExecutor(1, "disk")
        self._finished: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.stop()
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
            tallies = self._fill(shard, file)
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

    def _fill(self, shard: Shard, file: int) -> dict[str, Tally]:
        """Write all tensors of `shard` into the open file, and return the tallies."""
        tallies: dict[str, Tally] = {}
        flush: Future[None] | None = None
        unflushed = 0

        with (
            TaskCutter(file, self._dtype, self._layers) as cutter,
            closing(self._workers.run(cutter.tasks(shard))) as results,
        ):
            for task, tally in results:
                if tally is not None:
                    tallies[task.tensor] = tallies.get(task.tensor, Tally()).plus(tally)
                self._advance(task.tensor, task.size)

                # Now and then, so that the last wait for the disk is short.
                unflushed += task.size
                if unflushed > _FLUSHED_BYTES and (flush is None or flush.done()):
                    flush = self._disk.submit(os.fdatasync, file)
                    unflushed = 0
        return tallies


class _Workers:
    """Threads that run tasks, each with a workspace of its own."""

    def __init__(self, count: int, dtype: Any) -> None:
        self._queued = _WAITING * count
        self._pool = ThreadPoolExecutor(count, "merge")
        self._spaces: SimpleQueue[Workspace] = SimpleQueue()
        for _ in range(count):
            self._spaces.put(Workspace(dtype))

    def stop(self) -> None:
        """Give up the tasks that wait, and wait for those that run."""
        self._pool.shutdown(cancel_futures=True)

    def run(self, tasks: Iterable[Task]) -> Generator[tuple[Task, Tally | None], None, None]:
        """Yield each task with its tally, in order; raise the first error.

        Once the generator is closed, none of the tasks runs any more.
        """
        running: deque[tuple[Task, Future[Tally | None]]] = deque()
        try:
            for task in tasks:
                running.append((task, self._pool.submit(self._run, task)))

                # Few tasks wait, because each keeps the factors of its tensor in memory.
                if len(running) == self._queued:
                    first, future = running.popleft()
                    yield first, future.result()

            while running:
                first, future = running.popleft()
                yield first, future.result()
        finally:
            # After a failure, no task may go on with a file that will be closed.
            wait([future for _, future in running if not future.cancel()])

    def _run(self, task: Task) -> Tally | None:
        # There are as many workspaces as threads, so none waits here.
        space = self._spaces.get()
        try:
            return task.run(space)
        finally:
            self._spaces.put(space)


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

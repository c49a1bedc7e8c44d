"""Writes the files of the output: what does not change is copied inside the kernel, the rest is
computed by all cores.

A file appears under its name only when it is whole and on disk, after the facts about its tensors.
Reading, arithmetic and writing overlap, and so does the disk's own work, which begins long before a
file is complete. Parallel: the chunks of a file, in threads; NumPy and the system calls let go of
the interpreter. Beside them, one thread waits for the disk. Serial: the files.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from lorabay.algebra.updates import PeftLayer, Replaced
from lorabay.errors import SetupError
from lorabay.files.safetensors_header import ITEM_BYTES
from lorabay.merge.blocks import CHUNK_NUMBERS, Chunk, Tally, Workspace, read_whole
from lorabay.merge.copying import copy_range
from lorabay.merge.facts import write_facts
from lorabay.merge.steps import prepare
from lorabay.merge.tensors import Computed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lorabay.merge.peft_layer import PeftLayers
    from lorabay.merge.tensors import Shard, Target

_FLUSHED_BYTES = 64 << 20
_COPIED_BYTES = 32 << 20
_WAITING = 3  # chunks that are queued for each worker


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work on one tensor; gives what it did to the numbers. `size` bytes of the output
    are its own.
    """

    tensor: str
    size: int
    run: Callable[[], Tally | None]


class ShardWriter:
    """Writes files into one folder. A context manager: its threads end with the block, the disk's
    work is done then.
    """

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
        self._disk.shutdown()  # files that are whole are kept, also after a failure

    def write(self, shard: Shard) -> dict[str, Tally]:
        """Fill the file; it appears some time later, at the latest when `finish` returns. Gives the
        sums over every tensor that changed. Raises OSError and SetupError."""
        partial = self._folder / f".{shard.file}.partial"
        header = shard.header
        # Not in a `with`: the disk's thread closes it, after the last byte.
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            # A full disk shows now, not after an hour.
            os.posix_fallocate(file, 0, len(header) + shard.size)
            os.pwrite(file, header, 0)
            tallies = self._fill(shard, file, len(header))
        except BaseException:
            self._disk.submit(os.close, file)
            partial.unlink(missing_ok=True)
            raise
        self._finished.append(self._disk.submit(self._finish, file, partial, shard.file, tallies))
        return tallies

    def finish(self) -> None:
        """Wait until every file is on disk under its name."""
        for finished in self._finished:
            finished.result()

    def _finish(self, file: int, partial: Path, name: str, tallies: dict[str, Tally]) -> None:
        try:
            os.fsync(file)
        finally:
            os.close(file)
        write_facts(self._folder, name, tallies)
        partial.replace(self._folder / name)

    def _fill(self, shard: Shard, file: int, start: int) -> dict[str, Tally]:
        tallies: dict[str, Tally] = {}
        running: deque[tuple[Job, Future[Tally | None]]] = deque()
        unflushed, flush = 0, self._disk.submit(_nothing)
        with _Sources() as sources:
            try:
                for job in self._jobs(shard, file, start, sources):
                    running.append((job, self._pool.submit(job.run)))
                    if len(running) < self._queued:
                        continue
                    unflushed += self._collect(*running.popleft(), tallies)
                    if unflushed > _FLUSHED_BYTES and flush.done():
                        unflushed, flush = 0, self._disk.submit(os.fdatasync, file)
                while running:
                    self._collect(*running.popleft(), tallies)
            finally:
                # After a failure: nobody may use a file that is closed.
                _give_up(future for _, future in running)
        return tallies

    def _collect(self, job: Job, future: Future[Tally | None], tallies: dict[str, Tally]) -> int:
        tally = future.result()
        if tally is not None:
            tallies[job.tensor] = tallies.get(job.tensor, Tally()).plus(tally)
        self._advance(job.tensor, job.size)
        return job.size

    def _jobs(self, shard: Shard, file: int, start: int, sources: _Sources) -> Iterator[Job]:
        for target in shard.targets:
            stored = target.copied
            if stored is not None:
                source = sources.open(stored.file)
                for first in range(0, stored.size, _COPIED_BYTES):
                    count = min(_COPIED_BYTES, stored.size - first)
                    yield Job(
                        target.name,
                        count,
                        _copy(source, stored.start + first, file, start + first, count),
                    )
            else:
                yield from self._chunks(target, file, start, sources)
            start += target.size

    def _chunks(self, target: Target, file: int, start: int, sources: _Sources) -> Iterator[Job]:
        rows, columns = target.matrix
        base = target.source
        layer = partial(self._merge_layer, target)
        steps = tuple(
            prepare(part, target.name, (rows, columns), self._dtype, layer)
            for part in target.updates
        )
        change = steps[0].change() if len(steps) == 1 else None
        values = base.load() if isinstance(base, Computed) else None
        source, source_start = (
            (0, 0) if isinstance(base, Computed) else (sources.open(base.file), base.start)
        )
        dtype = "F32" if isinstance(base, Computed) else base.dtype
        height = max(1, CHUNK_NUMBERS // max(1, columns))
        for first in range(0, rows, height):
            chunk = Chunk(
                rows=slice(first, min(first + height, rows)),
                columns=columns,
                dtype=dtype,
                source=source,
                start=source_start + first * columns * ITEM_BYTES[dtype],
                values=values,
                steps=steps,
                change=(change if first == 0 else 0.0) if change is not None else None,
                out_dtype=target.dtype,
                target=file,
                out_start=start + first * columns * ITEM_BYTES[target.dtype],
            )
            yield Job(target.name, chunk.numbers * ITEM_BYTES[target.dtype], self._run(chunk))

    def _merge_layer(self, target: Target, update: PeftLayer) -> NDArray[np.float32]:
        match target.updates:
            case (PeftLayer(),):
                weight = read_whole(target.source)
            case (Replaced() as fresh, PeftLayer()):
                weight = fresh.values()
            case _:
                raise SetupError(
                    f"{target.name} is changed in more than one way, which PEFT's layers do not merge"
                )
        if self._layers is None:
            raise SetupError(f"{target.name} needs PEFT's layers, which were not loaded")
        return self._layers.merged(update, weight.reshape(target.shape))

    def _run(self, chunk: Chunk) -> Callable[[], Tally]:
        def run() -> Tally:
            space = self._spaces.get()
            try:
                return space.run(chunk)
            finally:
                self._spaces.put(space)

        return run


class _Sources:
    """The base's open files; closed at the end of the block."""

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


def _copy(source: int, start: int, target: int, to: int, count: int) -> Callable[[], None]:
    return lambda: copy_range(source, start, target, to, count)


def _give_up(futures: Iterable[Future[Tally | None]]) -> None:
    wait([future for future in futures if not future.cancel()])


def _nothing() -> None:
    """What the disk's thread does first."""

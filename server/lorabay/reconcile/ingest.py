"""Reads adapter folders into the store, a few at a time, and sweeps out versions nobody needs.

Parallel: reads of different folders. Serial: a sweep, which is put off while a folder is read and
makes new reads wait, so that a version that was just read cannot be removed before it is
registered. Every failure of a folder is a value. A read that nobody waits for ends at its next
step; one whose file system does not answer is left to itself, and its turn goes to another. Knows
nothing of live names or of the engine.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from lorabay.errors import SetupError
from lorabay.files.daemon_threads import DaemonThreads
from lorabay.files.folder_read import FolderRead
from lorabay.files.pace import Pace
from lorabay.reasons import Reason, Rejected
from lorabay.reconcile.reads.folder_reading import FolderReading, not_now
from lorabay.reconcile.reads.known_versions import KnownVersions
from lorabay.reconcile.reads.read_slots import ReadSlots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.catalog.admission import Checks
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import Digest, Version
    from lorabay.reconcile.reads.read_slots import ReadSlot

logger = structlog.get_logger(__name__)

NICENESS = 5
"""`nice` value of the reader threads.

Under load on two cores, adapters of 37 MiB are served after 0.8 s with 0, 1.5 s with 5 and 3.5 s
with 10; streams wait 3.0, 2.3 and 2.8 steps for a token meanwhile (`lorabay bench stall`).
"""

SWITCH_INTERVAL_S = 0.0005
"""Longest wait of the event loop for Python code of a reader thread.

The loop takes turns with it at each event that it sends. Python's default of 5 ms makes a stream
wait several steps for a token while an adapter is read.
"""

STALLED_S = 30.0
"""How long a file system may take over one answer before a read is left to itself.

A busy file server answers within seconds; the default of NFS is to try for ever.
"""

STALLED_AT_MOST = 8
"""Reads that may be left to themselves; each costs a thread until its file system answers."""

SWEEP_ENDS_S = 5.0
"""How long the end of the server waits for a sweep; a sweep may be cut off at any step."""

Result = TypeVar("Result")


class Ingest:
    """The way from folders into one store. Links in a folder may lead into `roots`."""

    def __init__(self, store: Store, checks: Checks, roots: tuple[Path, ...]) -> None:
        self._store = store
        self._checks = checks
        self.roots = roots
        # Taken before the rank limit is known: that is chosen from what the folders hold, and a
        # folder is the same folder under another limit.
        self.identity = checks.identity
        self._reading = FolderReading(store, roots)
        self._known = KnownVersions(store, _readers, lambda: self._base_identity)
        self._slots = ReadSlots()
        self._sweeping = asyncio.Lock()
        self._pending_reads = 0
        """Reads that run or wait for a slot, and whose version may still be registered."""
        self._left: dict[Path, asyncio.Future[Any]] = {}
        """Reads that nobody waits for any more and that have not ended, by their folder."""
        self._in_the_way: Callable[[], bool] = lambda: False

    @property
    def stalled(self) -> int:
        """The number of reads that were left to themselves and have not ended."""
        return len(self._left)

    @property
    def base(self) -> BaseShapes:
        """The modules of the base that adapters are held against."""
        return self._checks.base

    @property
    def base_weights(self) -> BaseWeights | None:
        """The base's own weights, if they are at hand."""
        return self._checks.base_weights

    @property
    def _base_identity(self) -> str | None:
        """Which base a version's output scales are right for: its checks have accepted them."""
        weights = self._checks.dora_weights
        return None if weights is None else weights.identity

    @property
    def base_names(self) -> tuple[str, ...]:
        """Names that no adapter may have."""
        return self._checks.base.names

    @property
    def max_rank(self) -> int:
        """Largest rank that is accepted."""
        return self._checks.max_rank

    def leave_out(self, modules: Mapping[str, str]) -> None:
        """Refuse from now on adapters that change one of `modules`, each with its reason."""
        if modules:
            self._checks = self._checks.without(modules)

    def give_way(self, in_the_way: Callable[[], bool]) -> None:
        """Read in short bursts from now on, whenever reads are `in_the_way` of others."""
        self._in_the_way = in_the_way

    def limit_rank(self, max_rank: int) -> None:
        """Refuse from now on adapters above the rank that the engine was started with."""
        self._checks = replace(self._checks, max_rank=max_rank)

    async def read(
        self,
        path: Path,
        name: AdapterName,
        *,
        found_as: str | None = None,
        known: Digest | None = None,
    ) -> Version | Rejected:
        """Return the version that a folder holds, stored.

        `found_as` is the folder's fingerprint when it was found: config and weights must both be of
        that moment. Without it `path` must be one that was checked to have no links; it may lie
        anywhere. `known` is the version that this very folder held before, if any. Register the
        version before the next `await`: until then it cannot be swept out of the store.
        """
        if known is not None:
            result = await self._look_up(name, known)
            if result is not None:
                return result

        work = partial(self._reading.read, path, name, self._checks, found_as)
        return await self._in_turn(path, work, otherwise=_STALLED)

    async def read_and_sketch(
        self, path: Path, name: AdapterName, found_as: str
    ) -> tuple[Version | Rejected, str | None]:
        """Return the version that a folder holds, as `read` does, and the folder's sketch.

        For a folder of which nothing is remembered: one thread reads both.
        """
        work = partial(self._reading.read_and_sketch, path, name, self._checks, found_as)
        return await self._in_turn(path, work, otherwise=(_STALLED, None))

    async def _look_up(self, name: AdapterName, known: Digest) -> Version | Rejected | None:
        """Return the version that an unchanged folder is known to hold: it need not be read again.

        None if it has to be: the version is not whole, or the rank limit is lower now.
        """
        async with self._sweeping:
            self._pending_reads += 1
        try:
            version = await self._known.get(name, known)
        except (SetupError, OSError, MemoryError, RuntimeError) as error:
            return not_now(error, name)
        finally:
            self._pending_reads -= 1
        return version if version and version.spec.rank <= self._checks.max_rank else None

    async def sketch(self, path: Path) -> str | None:
        """Return the sketch of a folder; None if it has none, or its disk does not answer."""
        return await self._in_turn(path, partial(self._reading.sketch, path), otherwise=None)

    async def _in_turn(
        self, path: Path, work: Callable[[FolderRead], Result], *, otherwise: Result
    ) -> Result:
        """Do blocking work on a folder in a reader thread; `otherwise` if its disk does not answer.

        A sweep begins only when none of it is under way.
        """
        earlier = self._left.get(path)
        if earlier is not None:
            await asyncio.wait({earlier}, timeout=STALLED_S)
            if not earlier.done():
                return otherwise

        async with self._sweeping:
            self._pending_reads += 1
        try:
            return await self._watched(path, work, otherwise, await self._slots.take())
        finally:
            self._pending_reads -= 1

    async def _watched(
        self, path: Path, work: Callable[[FolderRead], Result], otherwise: Result, slot: ReadSlot
    ) -> Result:
        """Do the work in a thread of its own, which takes the slot over."""
        has_read = partial(_tell, asyncio.get_running_loop(), slot.has_read)
        read = FolderRead(has_read, Pace(self._in_the_way).rest)
        try:
            thread = _begin(work, read)
        except RuntimeError as error:  # no thread can be started
            slot.close()
            logger.warning("no thread to read a folder", path=str(path), reason=str(error))
            return otherwise
        thread.add_done_callback(lambda _: slot.close())

        is_stalled = False
        try:
            while not thread.done() and not is_stalled:
                await asyncio.wait({thread}, timeout=STALLED_S)
                is_stalled = read.waited_s >= STALLED_S and len(self._left) < STALLED_AT_MOST
        finally:
            if not thread.done():
                self._leave(path, thread, read, slot)
        return thread.result() if thread.done() else otherwise

    def _leave(
        self, path: Path, thread: asyncio.Future[Any], read: FolderRead, slot: ReadSlot
    ) -> None:
        """Let a read end by itself. Its slot goes to another once it is sure to hang."""
        read.stop()
        self._left[path] = thread
        thread.add_done_callback(lambda _: self._left.pop(path, None))
        asyncio.get_running_loop().call_later(max(0.0, STALLED_S - read.waited_s), slot.close)

    def stored(self, name: AdapterName, digest: Digest) -> Version | None:
        """Return a version that the store already has; blocks."""
        try:
            return self._store.get(name, digest)
        except SetupError:
            return None

    async def sweep(
        self,
        needed: Callable[[], AbstractSet[Digest]],
        unwritten: Callable[[], Mapping[AdapterName, Mapping[str, object]]] = dict,
    ) -> bool:
        """Remove every version that is not `needed`; return whether that was done.

        `unwritten` returns the fields of records that are not on disk yet. Nothing is done while a
        folder is being read: a slow disk must not hold up the caller. Raises SetupError.
        """
        if self._pending_reads or self._sweeping.locked():
            return False

        # Reads that begin from now on wait for the end of the sweep.
        async with self._sweeping:
            await _run_to_end(self._store.sweep, needed(), unwritten())
        return True


_STALLED = Rejected((Reason("read_failed", "the folder's file system does not answer"),))


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Have the loop make a call; the loop of a server that has ended makes none."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)


@cache
def _readers() -> DaemonThreads:
    """Return threads of low priority: checking an adapter must not take the engine's cores."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return DaemonThreads("lorabay-ingest", lambda: os.nice(NICENESS))


def _begin(work: Callable[..., Result], *arguments: object) -> asyncio.Future[Result]:
    """Begin blocking work in a reader thread."""
    return _readers().begin(work, *arguments)


async def _run_to_end(work: Callable[..., Result], *arguments: object) -> Result:
    """Do blocking work in a reader thread, and wait for its end also when cancelled, if that comes
    soon.
    """
    thread = _begin(work, *arguments)
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait({thread}, timeout=SWEEP_ENDS_S)
        if thread.done() and not thread.cancelled():
            thread.exception()  # marks it as seen: nobody waits for the result any more
        raise

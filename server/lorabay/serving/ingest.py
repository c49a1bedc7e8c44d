"""Reads adapter folders into the store, a few at a time, and sweeps out versions nobody needs.

Parallel: reads of different folders. Serial: a sweep, which is put off while a folder is read and
makes new reads wait, so that a version that was just read cannot be removed before it is
registered. Every failure of a folder is a value. Knows nothing of live names or of the engine.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog

from lorabay.catalog.fingerprints import fingerprint
from lorabay.errors import SetupError
from lorabay.reasons import Reason, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.admission import Checks
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import Digest, Version

logger = structlog.get_logger(__name__)

NICENESS = 5
"""`nice` value of the reader threads.

Under load on two cores, adapters of 37 MiB are served after 0.8 s with 0, 1.5 s with 5 and 3.5 s
with 10; streams wait 3.0, 2.3 and 2.8 steps for a token meanwhile (`lorabay bench stall`).
"""

READS_AT_ONCE = 4
"""Folders that are read at the same time.

Enough to hide the disk's waits, few enough for a small host's memory.
"""

Result = TypeVar("Result")


class Ingest:
    """The way from folders into one store. Links in a folder may lead into it or into `roots`."""

    def __init__(self, store: Store, checks: Checks, roots: tuple[Path, ...]) -> None:
        self._store = store
        self._checks = checks
        self._roots = roots
        # Taken before the rank limit is known: that is chosen from what the folders hold, and a
        # folder is the same folder under another limit.
        self.identity = checks.identity
        self._read_slots = asyncio.Semaphore(READS_AT_ONCE)
        self._sweeping = asyncio.Lock()
        self._pending_reads = 0
        """Reads that run or wait for a slot."""

    @property
    def base(self) -> BaseShapes:
        """The modules of the base that adapters are held against."""
        return self._checks.base

    @property
    def base_names(self) -> tuple[str, ...]:
        """Names that no adapter may have."""
        return self._checks.base.names

    @property
    def max_rank(self) -> int:
        """Largest rank that is accepted."""
        return self._checks.max_rank

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
        that moment. `known` is the version that this very folder held before, if any. Register the
        version before the next `await`: until then it cannot be swept out of the store.
        """
        self._pending_reads += 1
        try:
            async with self._read_slots:
                return await _run_to_end(self._read, path, name, found_as, known)
        finally:
            self._pending_reads -= 1

    def stored(self, name: AdapterName, digest: Digest) -> Version | None:
        """Return a version that the store already has; blocks."""
        try:
            return self._store.get(name, digest)
        except SetupError:
            return None

    async def sweep(self, needed: Callable[[], AbstractSet[Digest]]) -> bool:
        """Remove every version that is not `needed`; return whether that was done.

        Nothing is done while a folder is being read: a slow disk must not hold up the caller.
        Raises SetupError.
        """
        if self._pending_reads or self._sweeping.locked():
            return False

        async with self._sweeping, AsyncExitStack() as every_slot:
            # With every slot taken, reads that begin from now on wait for the end of the sweep.
            for _ in range(READS_AT_ONCE):
                await every_slot.enter_async_context(self._read_slots)
            # Asked only now: a read that has just ended may have registered its version.
            await _run_to_end(self._store.sweep, needed())
        return True

    def _read(
        self, path: Path, name: AdapterName, found_as: str | None, known: Digest | None
    ) -> Version | Rejected:
        before = found_as or fingerprint(path)
        try:
            # An unchanged folder need not be read again, unless the rank limit is lower now.
            version = self._store.get(name, known) if known else None
            if version is not None and version.spec.rank <= self._checks.max_rank:
                return version

            result = self._store.ingest(path, name, self._checks, roots=self._roots)
        except SetupError as error:
            return Rejected((Reason("store_write", error.message),))
        except Exception:  # a folder that finds a bug in a check must not stop the others
            logger.exception("bug", adapter=name, path=str(path))
            reason = Reason(
                "internal", "a check failed unexpectedly; the server's log has the details"
            )
            return Rejected((reason,))

        if isinstance(result, Rejected):
            return result.brief

        # If the folder was replaced between its two files (a rename, Kubernetes' `..data`), they
        # may not belong together.
        if fingerprint(path) != before:
            return Rejected((Reason("changed_while_read", "the folder changed while it was read"),))
        return result


@cache
def _readers() -> ThreadPoolExecutor:
    """Return threads of low priority: checking an adapter must not take the engine's cores."""
    return ThreadPoolExecutor(READS_AT_ONCE, "lorabay-ingest", lambda: os.nice(NICENESS))


async def _run_to_end(work: Callable[..., Result], *arguments: object) -> Result:
    """Do blocking work in a reader thread, and wait for its end also when cancelled.

    A thread cannot be stopped.
    """
    thread = asyncio.get_running_loop().run_in_executor(_readers(), work, *arguments)
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait({thread})
        if not thread.cancelled():
            thread.exception()  # marks it as seen: nobody waits for the result any more
        raise

"""Reads adapter folders into the store, a few at a time, and clears out of it what nobody needs.

Parallel: reads of different folders. Serial: clearing, which waits for the reads under way and
holds up later ones, so that a version which was just read is never cleared before its reader has
said what it is for. Every failure is a value. Knows nothing of names that are live, or of the
engine.
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

    from lorabay.catalog.admission import Checks
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import Digest, Version

logger = structlog.get_logger(__name__)

NICENESS = 5
"""Of the threads that read. Under load on two cores, adapters of 37 MiB are served after 0.8 s with
0, 1.5 s with 5 and 3.5 s with 10; streams wait 3.0, 2.3 and 2.8 steps for a token meanwhile
(`lorabay bench stall`)."""
AT_ONCE = 4
"""Folders that are read at the same time: enough to hide the disk's waits, few enough for a small
host's memory.
"""

Result = TypeVar("Result")


class Intake:
    """The way from folders into one store. `roots` are where links inside a folder may lead."""

    def __init__(self, store: Store, checks: Checks, roots: tuple[Path, ...]) -> None:
        self._store = store
        self._checks = checks
        self._roots = roots
        # The rank limit is chosen from what the folder holds; a folder is the same folder under
        # another limit.
        self.identity = checks.identity
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._clearing = asyncio.Lock()
        self._reads = 0

    @property
    def base_names(self) -> tuple[str, ...]:
        """Names that no adapter may have."""
        return self._checks.base.names

    @property
    def max_rank(self) -> int:
        """The largest rank that is let in."""
        return self._checks.max_rank

    def limit_rank(self, max_rank: int) -> None:
        """From now on refuse adapters above the rank that the engine was started with."""
        self._checks = replace(self._checks, max_rank=max_rank)

    async def read(
        self,
        path: Path,
        name: AdapterName,
        *,
        looks: str | None = None,
        known: Digest | None = None,
    ) -> Version | Rejected:
        """Give the version that a folder holds, stored.

        `looks` is the folder's fingerprint when it was found: config and weights must both be of
        that moment. `known` is what this very folder gave before, if anything. Say what the version
        is for before awaiting anything else: until then it is safe from being cleared.
        """
        self._use_running_loop()
        self._reads += 1
        try:
            async with self._turns:
                return await _whole(self._read, path, name, looks, known)
        finally:
            self._reads -= 1

    def stored(self, name: AdapterName, digest: Digest) -> Version | None:
        """Give a version that the store already has; blocks."""
        try:
            return self._store.get(name, digest)
        except SetupError:
            return None

    async def clear(self, needed: Callable[[], AbstractSet[Digest]]) -> bool:
        """Remove every version that is not `needed`, unless a folder is being read: one that takes
        long must hold up nothing. Tells whether it was done. Raises SetupError."""
        self._use_running_loop()
        if self._reads or self._clearing.locked():
            return False
        async with self._clearing, AsyncExitStack() as all_turns:
            for _ in range(AT_ONCE):
                await all_turns.enter_async_context(self._turns)
            await _whole(self._store.collect, needed())
        return True

    def _use_running_loop(self) -> None:
        """A server reads its folders at the start on a loop of its own, and asyncio's locks belong
        to one loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._turns, self._clearing = (
                loop,
                asyncio.Semaphore(AT_ONCE),
                asyncio.Lock(),
            )

    def _read(
        self, path: Path, name: AdapterName, looks: str | None, known: Digest | None
    ) -> Version | Rejected:
        looks = looks or fingerprint(path)
        try:
            version = self._store.get(name, known) if known else None
            if version is not None and version.spec.rank <= self._checks.max_rank:
                return version
            result = self._store.ingest(path, name, self._checks, roots=self._roots)
        except SetupError as error:
            return Rejected((Reason("store_write", error.message),))
        except Exception:  # a folder that finds a bug in a check must not stop the others
            logger.exception("bug", adapter=name, path=str(path))
            return Rejected(
                (
                    Reason(
                        "internal", "a check failed unexpectedly; the server's log has the details"
                    ),
                )
            )
        if isinstance(result, Rejected):
            return result.brief
        if fingerprint(path) == looks:
            return result
        # The folder was replaced between the two files (a rename, Kubernetes' `..data`): they may
        # not belong together.
        return Rejected((Reason("changed_while_read", "the folder changed while it was read"),))


@cache
def _readers() -> ThreadPoolExecutor:
    """Threads of low priority: checking an adapter must not take the cores from the engine."""
    return ThreadPoolExecutor(AT_ONCE, "lorabay-intake", lambda: os.nice(NICENESS))


async def _whole(work: Callable[..., Result], *arguments: object) -> Result:
    """Do blocking work in a thread, and wait for its end also when cancelled: a thread cannot be
    stopped.
    """
    thread = asyncio.get_running_loop().run_in_executor(_readers(), work, *arguments)
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait({thread})
        if not thread.cancelled():
            thread.exception()
        raise

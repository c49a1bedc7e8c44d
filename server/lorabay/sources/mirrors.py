"""The mirrors of all sources of a server, into one folder that is followed like any other.

Of several servers over one store, one mirrors and the others follow the folder; another takes over
when that one ends. A server that finds adapters of an earlier run does not wait for its sources:
they may be away. Adapters of a source that is no longer named are served on until every source was
listed: another one may have the name. Knows nothing of what a source is, or of what follows the
folder.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from filelock import FileLock, Timeout

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.sources.claims import Claims
    from lorabay.sources.mirror import Mirror
    from lorabay.sources.mirror_folder import MirrorFolder

logger = structlog.get_logger(__name__)

HEAD_START_S = 1.0
"""How long a start waits for its sources when their adapters are here from an earlier run."""

FIRST_START_S = 60.0
"""How long a start waits for them when nothing is here yet; the rest comes while it serves."""

TAKE_OVER_S = 5.0
"""Seconds between two looks whether the server that mirrors has ended."""


class Mirrors:
    """All mirrors of one server."""

    def __init__(self, folder: MirrorFolder, mirrors: Sequence[Mirror], claims: Claims) -> None:
        self._folder = folder
        self._mirrors = mirrors
        self._claims = claims
        self._unnamed: set[str] = set()
        """Adapters here that are of no source that is named, and were not looked at yet."""
        self._lock = FileLock(folder.path.with_name(f"{folder.path.name}.lock"), thread_local=False)
        self._task: asyncio.Task[None] | None = None
        self._problem: str | None = None
        """Why this server cannot take over, if it has tried."""

    async def begin(self) -> None:
        """Begin to mirror, and wait for what is there already, or for a first failure.

        Not for long, if there are adapters of an earlier run, and never for ever: one source may
        trickle. Raises SetupError if the folder cannot be used.
        """
        is_ours = await asyncio.to_thread(self._open)
        if not is_ours:
            logger.info("another server mirrors the sources", folder=str(self._folder.path))
        has_adapters = bool(await asyncio.to_thread(self._folder.notes))
        self._task = asyncio.create_task(self._run())
        if is_ours:
            await self._wait(HEAD_START_S if has_adapters else FIRST_START_S)

    async def _wait(self, most_s: float) -> None:
        """Wait until every source has brought what it had at first, but not longer than that."""
        try:
            async with asyncio.timeout(most_s):
                await asyncio.gather(*(mirror.settled.wait() for mirror in self._mirrors))
        except TimeoutError:
            late = [one.source.location for one in self._mirrors if not one.settled.is_set()]
            logger.info("adapters are still on their way", sources=late)

    def _open(self) -> bool:
        """Open the folder; return whether this server is the one that mirrors into it.

        Raises SetupError, and leaves mirroring to another server then.
        """
        path = self._folder.path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._take_lock():
                return False
            self._folder.open()
            self._unnamed = self._of_unnamed_sources()
        except SetupError:
            self._lock.release()
            raise
        except OSError as error:
            self._lock.release()
            raise SetupError(
                f"the mirror {path} cannot be used: {error.strerror or error}"
            ) from error
        return True

    def _of_unnamed_sources(self) -> set[str]:
        notes = self._folder.notes()
        return {
            name for name, note in notes.items() if not self._claims.names_source(note.location)
        }

    def _take_lock(self) -> bool:
        with suppress(Timeout):
            self._lock.acquire(timeout=0)
        return self._lock.is_locked

    async def _run(self) -> None:
        while not self._lock.is_locked:
            await asyncio.sleep(TAKE_OVER_S)
            await self._try_to_take_over()
        await asyncio.gather(*(self._follow(mirror) for mirror in self._mirrors))

    async def _try_to_take_over(self) -> None:
        """Become the server that mirrors if no other is; what keeps this one from it is shown."""
        try:
            await asyncio.to_thread(self._open)
        except SetupError as error:
            if error.message != self._problem:
                logger.warning("the sources are not mirrored", reason=error.message)
            self._problem = error.message
        else:
            self._problem = None

    async def _follow(self, mirror: Mirror) -> None:
        while True:
            try:
                wait_s = await mirror.round()
                await self._remove_unnamed()
            except Exception:  # keep following, whatever went wrong
                wait_s = TAKE_OVER_S
                mirror.settled.set()
                logger.exception("bug", source=mirror.source.location)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await mirror.called.wait()

    async def _remove_unnamed(self) -> None:
        """Remove what is of a source that is no longer named, and that no other source has."""
        for name in [name for name in self._unnamed if self._claims.is_free(name)]:
            self._unnamed.discard(name)
            note = await asyncio.to_thread(self._folder.note, name)
            if note is None or self._claims.names_source(note.location):
                continue
            try:
                await asyncio.to_thread(self._folder.remove, name)
            except OSError as error:
                self._unnamed.add(name)
                logger.warning("not removed", adapter=name, reason=error.strerror)
            else:
                logger.info("removed", source=note.location, adapter=name)

    async def look_again(self) -> None:
        """Have every source listed now, or once more after a round that goes on."""
        for mirror in self._mirrors:
            mirror.called.set()

    async def stop(self) -> None:
        """Stop mirroring; what was half fetched is removed at the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for mirror in self._mirrors:
            await mirror.stop()
        self._lock.release()

    def describe(self) -> list[dict[str, Any]]:
        """Return what an administrator sees of each source."""
        described = [mirror.describe() for mirror in self._mirrors]
        if not self._lock.is_locked:
            for source in described:
                source["state"] = "followed" if self._problem is None else "away"
                source["reason"] = self._problem or "another server over this store mirrors it"
        return described

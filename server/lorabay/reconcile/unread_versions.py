"""Former versions that the disk did not give at the start, read again until it does.

A server starts although its store cannot be read everywhere, and offers what it could read. Knows
nothing of why a read failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.files.daemon_threads import DaemonThreads
from lorabay.reconcile.bounded_work import BoundedWork

if TYPE_CHECKING:
    from lorabay.catalog.registry.last_run import LastRun


class UnreadVersions:
    """The versions that are remembered of the last run and could not be read yet."""

    def __init__(self, last_run: LastRun) -> None:
        self._last_run = last_run
        self._threads = DaemonThreads("lorabay-former")
        self._work = BoundedWork("reading the former versions", self._read_all)

    async def read(self) -> None:
        """Read them again, if there are any; raises SetupError if the disk hangs."""
        if self._last_run.unread() and not self._work.is_running:
            await self._work.run()

    async def stop(self) -> None:
        """Give up a read that is under way."""
        await self._work.stop()

    async def _read_all(self) -> None:
        for name, digest in self._last_run.unread():
            found = await self._threads.begin(self._last_run.look_up, name, digest)
            self._last_run.take_up(name, {digest: found})

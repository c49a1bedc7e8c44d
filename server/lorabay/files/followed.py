"""Files that somebody else renews: a certificate, a list of keys. Tells when they have changed.

Knows nothing of what they hold. They are looked at and read in a thread, since a disk may not
answer, and the end of the process does not wait for that thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from lorabay.files.daemon_threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

POLL_S = 10.0
"""Time between two looks. Keys and certificates are renewed long before the old ones end."""

Look = tuple[tuple[int, int, int] | None, ...]
"""What tells one state of the files from another; None for one that is not there."""

Result = TypeVar("Result")


class FollowedFiles:
    """Some files, and what they looked like when they were read last."""

    def __init__(self, *files: Path) -> None:
        self._files = files
        # Not shared: a disk that hangs keeps one thread of those who follow its files, and no other
        # work from being done.
        self._threads = DaemonThreads("lorabay-follow")
        self._seen = self._look()

    async def have_changed(self) -> bool:
        """Return whether a file is another one, or another size or age, than at the last call."""
        seen = await self.read(self._look)
        changed = seen != self._seen
        self._seen = seen
        return changed

    async def read(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Do work that reads the files, and return its result; the loop runs meanwhile."""
        return await self._threads.begin(work, *arguments)

    async def follow(self, take_up: Callable[[], Awaitable[None]]) -> None:
        """Call `take_up` after every change, until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            # RuntimeError: there can be no thread now.
            with contextlib.suppress(RuntimeError):
                if await self.have_changed():
                    await take_up()

    def _look(self) -> Look:
        return tuple(_look_at(file) for file in self._files)


def _look_at(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)

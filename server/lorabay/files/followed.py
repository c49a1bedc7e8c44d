"""Files that somebody else renews: a certificate, a list of keys. Tells when they have changed.

Knows nothing of what they hold. It looks at them in a thread, since a disk may not answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

POLL_S = 10.0
"""Time between two looks. Keys and certificates are renewed long before the old ones end."""

Look = tuple[tuple[int, int, int] | None, ...]
"""What tells one state of the files from another; None for one that is not there."""


class FollowedFiles:
    """Some files, and what they looked like when they were read last."""

    def __init__(self, *files: Path) -> None:
        self._files = files
        self._seen = self._look()

    async def have_changed(self) -> bool:
        """Return whether a file is another one, or another size or age, than at the last call."""
        seen = await asyncio.to_thread(self._look)
        changed = seen != self._seen
        self._seen = seen
        return changed

    async def follow(self, take_up: Callable[[], Awaitable[None]]) -> None:
        """Call `take_up` after every change, until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
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

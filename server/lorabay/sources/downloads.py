"""The downloads of one source that are under way, by the names of their adapters.

One that takes longer than the pause between two lists goes on beside later ones, so a slow adapter
holds up no other. Knows nothing of files.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lorabay.sources.interface import Offer


class Downloads:
    """Fetches offers by a function that is given; each name once at a time."""

    def __init__(self, fetch: Callable[[Offer], Awaitable[None]]) -> None:
        self._fetch = fetch
        self._under_way: dict[str, asyncio.Future[None]] = {}

    def begin(self, offer: Offer) -> None:
        """Begin to fetch an offer; nothing of its name may be under way."""
        self._under_way[offer.name] = asyncio.ensure_future(self._fetch(offer))

    def __contains__(self, name: str) -> bool:
        """Return whether something of a name is being fetched."""
        return name in self._under_way

    def __len__(self) -> int:
        """Return how many are being fetched."""
        return len(self._under_way)

    async def wait(self, most_s: float, called: asyncio.Event) -> None:
        """Wait until all have ended, or somebody calls, but not longer than `most_s`; then collect.

        Raises what ended one of them, which is a bug.
        """
        if self._under_way:
            await _first(most_s, asyncio.wait(self._under_way.values()), called.wait())
        self.collect()

    def collect(self) -> None:
        """Forget those that have ended. Raises what ended one of them, which is a bug."""
        ended = {name: task for name, task in self._under_way.items() if task.done()}
        for name in ended:
            del self._under_way[name]
        for task in ended.values():
            task.result()

    async def stop(self) -> None:
        """End all of them."""
        ended = list(self._under_way.values())
        self._under_way.clear()
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended)


async def _first(most_s: float, *waits: Awaitable[object]) -> None:
    """Wait until one of several has come, but not longer than `most_s`."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, timeout=most_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()

"""Versions that folders are known to hold, looked up in the store: many of them in one go.

At a restart every folder asks for its version at the same time, and each look-up alone would take a
thread and the store's lock. Those that come while others are looked up are the next to be. Knows
nothing of folders.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import Digest, Version
    from lorabay.files.daemon_threads import DaemonThreads

    Wanted = tuple[AdapterName, Digest]
    Found = Version | None | Exception

AT_ONCE = 256
"""Versions that are looked up under one lock of the store, which other servers may wait for."""


class KnownVersions:
    """The look-ups in one store, made by `threads`.

    `base` returns the identity of the base whose checks have accepted the versions, if output
    scales depend on it.
    """

    def __init__(
        self, store: Store, threads: Callable[[], DaemonThreads], base: Callable[[], str | None]
    ) -> None:
        self._store = store
        self._threads = threads
        self._base = base
        self._asked: list[tuple[Wanted, asyncio.Future[Version | None]]] = []
        self._looking: asyncio.Task[None] | None = None

    async def get(self, name: AdapterName, digest: Digest) -> Version | None:
        """Return a stored version, and hold it from now on; None if it is absent or not whole.

        Raises SetupError if the disk does not say.
        """
        answer: asyncio.Future[Version | None] = asyncio.get_running_loop().create_future()
        self._asked.append(((name, digest), answer))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_up())
        return await answer

    async def _look_up(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked[:AT_ONCE], self._asked[AT_ONCE:]
                wanted = [one for one, _ in asked]
                for (_, answer), found in zip(asked, await self._find(wanted), strict=True):
                    _answer(answer, found)
        finally:
            self._looking = None

    async def _find(self, wanted: Sequence[Wanted]) -> Sequence[Found]:
        try:
            return await self._threads().begin(_find, self._store, wanted, self._base())
        except Exception as error:  # noqa: BLE001 - raised again where each of them is awaited
            return [error] * len(wanted)


def _answer(answer: asyncio.Future[Version | None], found: Found) -> None:
    # Whoever asked may have been cancelled.
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def _find(store: Store, wanted: Sequence[Wanted], base: str | None) -> Sequence[Found]:
    try:
        found = store.get_all(wanted)
        if base is not None:
            store.note_base([version for version in found if version is not None], base)
        return found
    except SetupError as error:
        # A hiccup at one version says nothing of the others.
        if len(wanted) == 1:
            return [error]
        return [_find(store, [one], base)[0] for one in wanted]

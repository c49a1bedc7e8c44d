"""Adds adapters that an operator sends, without HTTP: received, checked as a folder is, and served.

One at a time. An adapter that a server would refuse is refused with every reason, and nothing of it
is kept. Knows nothing of archives or of keys.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

from lorabay.catalog.names import AdapterName, backup_problems
from lorabay.errors import (
    AdapterRejected,
    PermissionDenied,
    RateLimited,
    RequestTooLarge,
)
from lorabay.reasons import Rejected
from lorabay.sources.uploads.unpacking import unpack
from lorabay.sources.uploads.upload_folder import no_room, taken

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.catalog.versions import Version
    from lorabay.reconcile.events import Actor
    from lorabay.serving.admin import Operations
    from lorabay.sources.uploads.upload_folder import Incoming, UploadFolder

AGAIN_S = 5.0
"""When somebody may try again who came while another adapter is received."""

WRITE_BYTES = 1 << 20
"""Bytes that are written at once."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Uploads(Protocol):
    """The way in for adapters that somebody sends."""

    def describe(self) -> dict[str, Any]:
        """Return whether there is one, how much may be sent, and otherwise why not."""
        ...

    async def add(
        self, name: str, content: AsyncIterator[bytes], who: Actor, *, size: int | None = None
    ) -> dict[str, Any]:
        """Add the adapter in an archive, of `size` bytes if that is known."""
        ...


class NoUploads:
    """A server to which nothing can be sent; `why` says what to do instead."""

    def __init__(self, why: str) -> None:
        self._why = why

    def describe(self) -> dict[str, Any]:
        """Return why not."""
        return {"on": False, "most_bytes": None, "reason": self._why}

    async def add(
        self, name: str, content: AsyncIterator[bytes], who: Actor, *, size: int | None = None
    ) -> dict[str, Any]:
        """Raise PermissionDenied."""
        raise PermissionDenied(self._why)


class FolderUploads:
    """A server to which archives of up to `most_bytes` can be sent, packed and unpacked."""

    def __init__(self, folder: UploadFolder, operations: Operations, most_bytes: int) -> None:
        self._folder = folder
        self._operations = operations
        self._most_bytes = most_bytes
        self._one = asyncio.Lock()

    def describe(self) -> dict[str, Any]:
        """Return how much may be sent."""
        return {"on": True, "most_bytes": self._most_bytes, "reason": None}

    async def add(
        self, name: str, content: AsyncIterator[bytes], who: Actor, *, size: int | None = None
    ) -> dict[str, Any]:
        """Add the adapter in an archive, which is served as soon as its folder is read.

        Raises AdapterRejected with every reason, AdapterConflict for a name that is taken,
        InvalidRequest or RequestTooLarge for what is no archive of an adapter, RateLimited while
        another is received, StorageUnavailable if the disk refuses. Nothing is kept then.
        """
        with self._operations.noting_failure("uploaded", who, name):
            if size is not None and size > self._most_bytes:
                raise self._too_large()
            if self._one.locked():
                raise RateLimited("another adapter is being sent: try again", retry_after=AGAIN_S)
            async with self._one:
                version, left_out = await self._add(name, content, size)
            state = await self._operations.added(name, version, who)

        return {"name": name, "version": version.id, "state": state, "left_out": left_out}

    async def _add(
        self, name: str, content: AsyncIterator[bytes], size: int | None
    ) -> tuple[Version, int]:
        """Return the version that was put in place, and how many files of its archive were not."""
        incoming = None
        try:
            await asyncio.to_thread(self._check, name, size)
            incoming = await asyncio.to_thread(self._folder.begin)
            await self._receive(content, incoming.archive)
            return await self._take(name, incoming)
        except OSError as error:
            if error.errno in _FULL:
                raise no_room(error.strerror or "it is full") from error
            raise
        finally:
            # Not in a thread: the end of the server, or of the client, may have cancelled this.
            if incoming is not None:
                self._folder.discard(incoming)

    def _check(self, name: str, size: int | None) -> None:
        """Raise for a name, or a size, that is refused before anything is received."""
        self._operations.check_name(name)
        if problems := backup_problems(name):
            raise AdapterRejected(name, tuple(problem.text for problem in problems))
        if self._operations.is_served(name) or self._folder.is_taken(name):
            raise taken(name)
        self._folder.check_room(size or 0)

    async def _receive(self, content: AsyncIterator[bytes], archive: Path) -> None:
        """Write what is sent to a file, and not more than is allowed."""
        received = 0
        waiting = bytearray()
        with await asyncio.to_thread(archive.open, "xb", 0) as file:
            async for piece in content:
                received += len(piece)
                if received > self._most_bytes:
                    raise self._too_large()
                waiting += piece
                if len(waiting) >= WRITE_BYTES:
                    await asyncio.to_thread(file.write, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(file.write, bytes(waiting))

    async def _take(self, name: str, incoming: Incoming) -> tuple[Version, int]:
        """Unpack an archive, and put it in its place if a server would serve it."""
        left_out = await asyncio.to_thread(
            unpack, incoming.archive, incoming.adapter, self._most_bytes
        )
        version = await self._operations.judge(AdapterName(name), incoming.adapter)
        if isinstance(version, Rejected):
            raise AdapterRejected(name, version.sentences)

        await asyncio.to_thread(self._folder.place, incoming, name)
        return version, left_out

    def _too_large(self) -> RequestTooLarge:
        return RequestTooLarge(
            f"the archive is larger than {self._most_bytes} bytes (setting `upload_mib`)"
        )

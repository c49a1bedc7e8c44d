"""Adds adapters that an operator sends, and new versions of them, without HTTP: received, checked
as a folder is, and served.

One at a time. An adapter that a server would refuse is refused with every reason, and nothing of it
is kept. Who sends a new version says which one they saw live: nobody overwrites unknowingly what
somebody else has just sent. Knows nothing of archives or of keys.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lorabay.catalog.names import AdapterName, backup_problems
from lorabay.errors import (
    AdapterRejected,
    PermissionDenied,
    RateLimited,
    RequestTooLarge,
)
from lorabay.reasons import Rejected, rejected
from lorabay.sources.uploads.unpacking import unpack
from lorabay.sources.uploads.upload_folder import no_room, taken

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.catalog.versions import Version
    from lorabay.reconcile.events import Actor
    from lorabay.serving.admin import NameChanges, Operations
    from lorabay.sources.uploads.upload_folder import Incoming, UploadFolder

AGAIN_S = 5.0
"""When somebody may try again who came while another adapter is received."""

WRITE_BYTES = 1 << 20
"""Bytes that are written at once."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Upload:
    """An archive that somebody sends as the adapter `name`, of `size` bytes if that is known.

    `seen` is the version that was live when they decided to send another one, an empty text if none
    was; None for an adapter that is not there yet.
    """

    name: str
    content: AsyncIterator[bytes]
    size: int | None = None
    seen: str | None = None


class Uploads(Protocol):
    """The way in for adapters that somebody sends."""

    def describe(self) -> dict[str, Any]:
        """Return whether there is one, how much may be sent, and otherwise why not."""
        ...

    async def add(self, upload: Upload, who: Actor) -> dict[str, Any]:
        """Add the adapter in an archive, or a new version of one that is there."""
        ...


class NoUploads:
    """A server to which nothing can be sent; `why` says what to do instead."""

    def __init__(self, why: str) -> None:
        self._why = why

    def describe(self) -> dict[str, Any]:
        """Return why not."""
        return {"on": False, "most_bytes": None, "reason": self._why}

    async def add(self, upload: Upload, who: Actor) -> dict[str, Any]:
        """Raise PermissionDenied."""
        raise PermissionDenied(self._why)


class FolderUploads:
    """A server to which archives of up to `most_bytes` can be sent, packed and unpacked.

    `changes` has what is put in place served, `operations` itself by default.
    """

    def __init__(
        self,
        folder: UploadFolder,
        operations: Operations,
        most_bytes: int,
        changes: NameChanges | None = None,
    ) -> None:
        self._folder = folder
        self._operations = operations
        self._changes = changes or operations
        self._most_bytes = most_bytes
        self._one = asyncio.Lock()

    def describe(self) -> dict[str, Any]:
        """Return how much may be sent."""
        return {"on": True, "most_bytes": self._most_bytes, "reason": None}

    async def add(self, upload: Upload, who: Actor) -> dict[str, Any]:
        """Add the adapter in an archive, which is served as soon as its folder is read.

        Raises AdapterRejected with every reason, AdapterConflict for a name that is taken or if
        another version is live than was seen, InvalidRequest or RequestTooLarge for what is no
        archive of an adapter, RateLimited while another is received, StorageUnavailable if the disk
        refuses. Nothing is kept then.
        """
        name, size = upload.name, upload.size
        with self._operations.noting_failure("uploaded", who, name):
            if size is not None and size > self._most_bytes:
                raise self._too_large()
            if self._one.locked():
                raise RateLimited("another adapter is being sent: try again", retry_after=AGAIN_S)
            async with self._one:
                version, left_out = await self._add(upload)
                state = await self._changes.added(name, version.id, who)

        return {"name": name, "version": version.id, "state": state, "left_out": left_out}

    async def _add(self, upload: Upload) -> tuple[Version, int]:
        """Return the version that was put in place, and how many files of its archive were not."""
        name = upload.name
        incoming = None
        try:
            before = await self._check(upload)
            incoming = await asyncio.to_thread(self._folder.begin)
            await self._receive(upload.content, incoming.archive)
            left_out = await asyncio.to_thread(
                unpack, incoming.archive, incoming.adapter, self._most_bytes
            )
            if before is not None:
                await asyncio.to_thread(self._folder.take_over, incoming, name)
            version = await self._judge(name, incoming)
            if before is None:
                await asyncio.to_thread(self._folder.place, incoming, name)
            else:
                self._operations.check_unchanged(name, upload.seen)
                await asyncio.to_thread(self._folder.replace, incoming, name, before)
        except OSError as error:
            if error.errno in _FULL:
                raise no_room(error.strerror or "it is full") from error
            raise
        finally:
            # Not in a thread: the end of the server, or of the client, may have cancelled this.
            if incoming is not None:
                self._folder.discard(incoming)
        return version, left_out

    async def _check(self, upload: Upload) -> str | None:
        """Raise for what is refused before anything is received.

        Return the state of the folder that a new version takes the place of; None for a new name.
        """
        name, seen = upload.name, upload.seen
        self._operations.check_name(name)
        if problems := backup_problems(name):
            raise _rejected(name, rejected(problems))
        is_taken = await asyncio.to_thread(self._folder.is_taken, name)
        is_there = is_taken or self._operations.is_served(name)
        if is_there and seen is None:
            raise taken(name)
        if seen is not None:
            self._operations.check_unchanged(name, seen)
        await asyncio.to_thread(self._folder.check_room, upload.size or 0)
        return await asyncio.to_thread(self._folder.state, name) if is_there else None

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

    async def _judge(self, name: str, incoming: Incoming) -> Version:
        """Return the version that was received; raises AdapterRejected if a server refuses it."""
        version = await self._operations.judge(AdapterName(name), incoming.adapter)
        if isinstance(version, Rejected):
            raise _rejected(name, version)
        return version

    def _too_large(self) -> RequestTooLarge:
        return RequestTooLarge(
            f"the archive is larger than {self._most_bytes} bytes (setting `upload_mib`)"
        )


def _rejected(name: str, refusal: Rejected) -> AdapterRejected:
    reasons = refusal.merged
    texts = tuple(reason.text for reason in reasons)
    return AdapterRejected(name, texts, codes=tuple(reason.code for reason in reasons))

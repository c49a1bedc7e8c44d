"""Adapters in a folder of this machine, mirrored because there are other sources beside it.

A folder that is the only source is followed itself, without a copy. Knows nothing of what becomes
of the files.
"""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.catalog.discovery import stays_inside
from lorabay.catalog.fingerprints import describe
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Unreadable, open_source
from lorabay.files.daemon_threads import ask
from lorabay.sources.adapter_files import wanted_files
from lorabay.sources.interface import Changed, Listing, RemoteFile, SourceError
from lorabay.sources.offers import SourceLimits, listing_of
from lorabay.sources.sink import Sink

if TYPE_CHECKING:
    from lorabay.sources.interface import Offer
    from lorabay.sources.pace import Pace

CHUNK_BYTES = 1 << 20


class Folder:
    """The adapters in the child folders of `path`."""

    def __init__(self, path: Path, limits: SourceLimits | None = None) -> None:
        self._path = path
        self._limits = limits or SourceLimits()

    @property
    def location(self) -> str:
        """The folder's path."""
        return str(self._path)

    async def list(self) -> Listing:
        """Return every adapter in the folder. Raises SourceError."""
        try:
            return await ask(self._list)
        except SetupError as error:
            raise SourceError(f"the folder {self._path}: {error.message}") from error
        except OSError as error:
            raise SourceError(
                f"the folder {self._path} cannot be listed: {error.strerror or error}"
            ) from error

    def _list(self) -> Listing:
        allowed = (self._path.resolve(strict=True),)
        folders: dict[str, dict[str, RemoteFile]] = {}
        unreadable: dict[str, str] = {}
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    if entry.is_dir() and stays_inside(entry, allowed):
                        folders[entry.name] = _files(Path(entry.path))
                except (FileNotFoundError, NotADirectoryError):
                    # Gone since it was listed.
                    continue
                except OSError as error:
                    unreadable[entry.name] = f"it cannot be read: {error.strerror or error}"
        listing = listing_of(folders, self._limits)
        return Listing(listing.offers, {**listing.refused, **unreadable})

    async def fetch(self, offer: Offer, into: Path, pace: Pace) -> None:
        """Copy the files of an adapter into another folder, each as it was listed."""
        for name, file in offer.files.items():
            await asyncio.to_thread(self._copy, offer, name, into)
            await pace.take(file.size)

    def _copy(self, offer: Offer, name: str, into: Path) -> None:
        file = offer.files[name]
        limit = wanted_files(offer.files)[name]
        roots = (self._path.resolve(),)
        try:
            with (
                open_source(self._path / offer.name / name, limit, roots=roots) as source,
                Sink(into / name, file.size) as sink,
            ):
                while chunk := source.read(CHUNK_BYTES):
                    sink.add(chunk)
                sink.check()
                if describe(os.fstat(source.fileno())) != file.mark:
                    raise Changed
        except Unreadable as problem:
            raise SourceError(problem.reason.text) from problem

    async def close(self) -> None:
        """Do nothing: nothing is open."""


def _files(folder: Path) -> dict[str, RemoteFile]:
    files = {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                files[path.name] = RemoteFile(status.st_size, describe(status))
    return files

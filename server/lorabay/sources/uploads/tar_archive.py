"""Tar archives, plain or packed by gzip.

A packed one is read from its beginning, and never further than its limit: what a few bytes unpack
to may fill any disk.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from typing import IO, cast

from lorabay.errors import InvalidRequest, RequestTooLarge
from lorabay.reasons import quoted
from lorabay.sources.uploads.archive import Entry, entry_of

READ_BYTES = 1 << 20
"""Bytes that are read at once. A header that asks for more is no adapter's."""

SLACK_BYTES = 16 << 20
"""What a tar may have beside the bytes that are allowed: headers, and files that are left out."""

DAMAGED = (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError, gzip.BadGzipFile)
"""What the libraries raise for bytes that are not what they seem."""


class TarArchive:
    """A tar archive in an open file, of which little more than `limit` bytes is unpacked.

    Raises InvalidRequest for one that cannot be read.
    """

    def __init__(self, file: IO[bytes], limit: int, *, packed: bool) -> None:
        source = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if packed else file
        try:
            # Closed with the file that it is in.
            bounded = cast("IO[bytes]", _Bounded(source, limit))
            self._tar = tarfile.open(fileobj=bounded, mode="r:")  # noqa: SIM115
            self._members: list[tarfile.TarInfo] = []
            self.entries: list[Entry] = []
            for member in self._tar:
                if not member.isdir():
                    self._add(member)
        except DAMAGED as error:
            raise damaged(error) from error

    def _add(self, member: tarfile.TarInfo) -> None:
        number = len(self._members)
        entry = entry_of(number, member.name, member.size, is_regular=member.isreg())
        self._members.append(member)
        self.entries.append(entry)

    def open(self, entry: Entry) -> IO[bytes]:
        """Open one of the files."""
        try:
            opened = self._tar.extractfile(self._members[entry.number])
        except DAMAGED as error:
            raise damaged(error) from error
        if opened is None:
            raise InvalidRequest(f"{quoted(str(entry.path))} in the archive is no file")
        return opened


def damaged(error: Exception) -> InvalidRequest:
    """Return the refusal of an archive that cannot be read."""
    return InvalidRequest(f"the archive cannot be read: {quoted(str(error))}")


def too_large(limit: int) -> RequestTooLarge:
    """Return the refusal of an archive that unpacks to more than may be sent."""
    return RequestTooLarge(f"the archive unpacks to more than {limit} bytes (setting `upload_mib`)")


class _Bounded:
    """A file of which little more than the first `limit` bytes is read, and not much at once."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        self._source = source
        self._limit = limit

    def read(self, count: int = -1) -> bytes:
        """Read some bytes. Raises RequestTooLarge beyond the limit."""
        if not 0 <= count <= READ_BYTES:
            raise InvalidRequest("the archive cannot be read: a header of it is too large")
        self._check(self._source.tell() + count)
        return self._source.read(count)

    def seek(self, position: int, whence: int = 0) -> int:
        """Go to a place, counted from the beginning."""
        self._check(position)
        return self._source.seek(position, whence)

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._source.tell()

    def _check(self, position: int) -> None:
        if position > self._limit + SLACK_BYTES:
            raise too_large(self._limit)

"""Tar archives that were sent, plain or packed by gzip."""

from __future__ import annotations

from functools import partial
from typing import IO, TYPE_CHECKING

from lorabay.errors import InvalidRequest, RequestTooLarge
from lorabay.reasons import quoted
from lorabay.sources.bounded_tar import BoundedTar
from lorabay.sources.damaged import Damaged
from lorabay.sources.uploads.archive import Entry, entry_of

if TYPE_CHECKING:
    import tarfile

SLACK_BYTES = 16 << 20
"""What a tar may have beside the bytes that are allowed: headers, and files that are left out."""


class TarArchive:
    """A tar archive in an open file, of which little more than `limit` bytes is unpacked.

    Raises InvalidRequest for one that cannot be read.
    """

    def __init__(self, file: IO[bytes], limit: int, *, packed: bool) -> None:
        try:
            # Closed with the file that it is in.
            self._tar = BoundedTar(
                file, limit + SLACK_BYTES, partial(too_large, limit), packed=packed
            )
            self._members: list[tarfile.TarInfo] = []
            self.entries: list[Entry] = []
            for member in self._tar:
                if not member.isdir():
                    self._add(member)
        except Damaged as error:
            raise damaged(error) from error

    def _add(self, member: tarfile.TarInfo) -> None:
        number = len(self._members)
        entry = entry_of(number, member.name, member.size, is_regular=member.isreg())
        self._members.append(member)
        self.entries.append(entry)

    def open(self, entry: Entry) -> IO[bytes]:
        """Open one of the files."""
        try:
            opened = self._tar.open(self._members[entry.number])
        except Damaged as error:
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

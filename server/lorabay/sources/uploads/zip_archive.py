"""Zip archives, as browsers and desktops make them."""

from __future__ import annotations

import os
import stat
import zipfile
from typing import IO

from lorabay.errors import InvalidRequest
from lorabay.reasons import quoted
from lorabay.sources.damaged import Damaged, parsing
from lorabay.sources.uploads.archive import ENTRIES_AT_MOST, Entry, entry_of

DIRECTORY_BYTES = ENTRIES_AT_MOST * 500
"""Bytes of the list of files in an archive; the library reads it whole."""

PACKING = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways to pack that everybody has. The others need memory by the archive's own word."""

_END = b"PK\5\6"
_END_BYTES = 22
_COMMENT_BYTES = 65_535


class ZipArchive:
    """A zip archive in an open file. Raises InvalidRequest for one that cannot be read."""

    def __init__(self, file: IO[bytes]) -> None:
        _check_directory(file)
        try:
            with parsing():
                self._zip = zipfile.ZipFile(file)
                self._members = [one for one in self._zip.infolist() if not one.is_dir()]
        except Damaged as error:
            raise _damaged(error) from error

        self.entries = [
            entry_of(number, one.filename, one.file_size, is_regular=_is_regular(one))
            for number, one in enumerate(self._members)
        ]

    def open(self, entry: Entry) -> IO[bytes]:
        """Open one of the files."""
        member = self._members[entry.number]
        if member.flag_bits & 1:
            raise InvalidRequest("the archive has a password: send it without one")
        if member.compress_type not in PACKING:
            raise InvalidRequest("the archive is packed in a rare way: use `zip` or a `tar.gz`")
        try:
            with parsing():
                return self._zip.open(member)
        except Damaged as error:
            raise _damaged(error) from error


def _check_directory(file: IO[bytes]) -> None:
    """Raise InvalidRequest for a list of files that would take much memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_BYTES - _COMMENT_BYTES))
    tail = file.read()

    at = tail.rfind(_END)
    listed = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if listed > DIRECTORY_BYTES:
        raise InvalidRequest(
            f"the archive holds more than {ENTRIES_AT_MOST} files: send the adapter's files alone"
        )


def _is_regular(member: zipfile.ZipInfo) -> bool:
    """Return whether an entry is a plain file; archives of Windows do not say."""
    mode = member.external_attr >> 16
    return stat.S_IFMT(mode) in (0, stat.S_IFREG)


def _damaged(error: Exception) -> InvalidRequest:
    return InvalidRequest(f"the zip archive cannot be read: {quoted(str(error))}")

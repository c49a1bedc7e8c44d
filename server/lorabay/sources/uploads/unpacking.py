"""Unpacks the adapter of an archive that somebody sent into a folder."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from lorabay.errors import InvalidRequest
from lorabay.sources.damaged import Damaged, parsing
from lorabay.sources.uploads.archive import choose
from lorabay.sources.uploads.tar_archive import TarArchive, damaged, too_large
from lorabay.sources.uploads.zip_archive import ZipArchive

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.sources.uploads.archive import Archive

CHUNK = 1 << 20

_ZIP, _GZIP = b"PK", b"\x1f\x8b"
_TAR_AT, _TAR = 257, b"ustar"


def unpack(path: Path, into: Path, limit: int) -> int:
    """Unpack the adapter in the archive at `path` into a folder; return how many files are left.

    At most `limit` bytes are written. Blocks. Raises InvalidRequest, RequestTooLarge, and OSError
    for a disk that refuses.
    """
    with path.open("rb") as file:
        archive = _archive_in(file, limit)
        chosen = choose(archive.entries)
        if sum(entry.size for entry in chosen.files.values()) > limit:
            raise too_large(limit)
        for name, entry in chosen.files.items():
            with archive.open(entry) as source, (into / name).open("xb") as target:
                _copy(source, target, entry.size)
    return chosen.left_out


def _archive_in(file: IO[bytes], limit: int) -> Archive:
    head = file.read(_TAR_AT + len(_TAR))
    file.seek(0)
    if head.startswith(_ZIP):
        return ZipArchive(file)
    if head.startswith(_GZIP):
        return TarArchive(file, limit, packed=True)
    if head[_TAR_AT:] == _TAR:
        return TarArchive(file, limit, packed=False)
    raise InvalidRequest("what was sent is no archive: send a zip, a tar, or a tar.gz", status=415)


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    """Copy exactly `size` bytes: an archive may say less than it holds, or more."""
    left = size
    while True:
        try:
            with parsing():
                piece = source.read(min(CHUNK, left + 1))
        except Damaged as error:
            raise damaged(error) from error
        if not piece:
            break
        left -= len(piece)
        if left < 0:
            raise InvalidRequest("a file of the archive is larger than the archive says")
        target.write(piece)
    if left:
        raise InvalidRequest("a file of the archive ends early: send it again")

"""A log of lines that survives a kill: numbered files in one folder, each written at its end alone.

A line is on disk when `append` returns. A kill or a full disk may leave a torn line, which its
checksum betrays: the reader drops that one, and no other. One `LogWriter` at a time writes in a
folder; a `LogReader` reads beside it, and deletes the files that it has been told are done with.
Knows nothing of what a line says.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SUFFIX = ".log"

FILE_BYTES = 4_000_000
"""Size at which a new file begins: what is read again after a kill is at most one of them."""

READ_BYTES = 1_000_000
"""Bytes that a reader takes in at once."""

CHECKSUM = 8
"""Hexadecimal digits in front of each line: CRC-32 of what follows the blank."""


class Place(NamedTuple):
    """A place between two lines: the number of a file, and a distance from its beginning."""

    number: int
    offset: int


START = Place(0, 0)
"""The place before every line: files are numbered from 1."""


class Lines(NamedTuple):
    """Lines that were read, the place after them, and how many before it were torn or damaged."""

    lines: list[bytes]
    end: Place
    damaged: int


class LogWriter:
    """Writes lines into `folder`, which exists, in files of about `file_bytes`.

    Begins with a file of its own, whatever is there: the end of an older one may be torn.
    """

    def __init__(self, folder: Path, *, file_bytes: int = FILE_BYTES) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._number = max(_numbers(folder), default=0)
        self._descriptor: int | None = None
        self.end = START
        """The place after the last line that is on disk; other threads may read it."""

    def append(self, lines: Iterable[bytes]) -> None:
        """Write lines, none of which holds a line feed, and wait until they are on disk.

        Raises OSError. The lines may be on disk all the same, or some of them: whoever writes them
        again must know them by what they say.
        """
        data = b"".join(map(encode, lines))
        descriptor = self._descriptor
        if descriptor is None or self.end.offset >= self._file_bytes:
            descriptor = self._begin()

        try:
            durable.append(descriptor, data)
        except OSError:
            # A disk that failed to keep bytes may forget them without a further error: what comes
            # next goes into a file of its own.
            self._give_up()
            raise
        self.end = Place(self._number, self.end.offset + len(data))

    def _begin(self) -> int:
        """Begin a file, and return its descriptor."""
        self.close()
        path = _path(self._folder, self._number + 1)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._descriptor = descriptor
        self._number += 1
        self.end = Place(self._number, 0)
        try:
            durable.sync(self._folder)
        except OSError:
            self._give_up()
            raise
        return descriptor

    def _give_up(self) -> None:
        """Leave the file; one without a whole line is deleted, or a full disk would get many."""
        self.close()
        if self.end.offset == 0:
            with suppress(OSError):
                _path(self._folder, self._number).unlink()

    def close(self) -> None:
        """Close the file; a further line begins a new one."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)


class LogReader:
    """Reads the lines of `folder` in their order, and deletes files that are done with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, place: Place, until: Place | None = None, *, count: int = 1000) -> Lines:
        """Return at most about `count` lines after `place`, none beyond `until`. Raise OSError.

        Without `until` nobody writes any more: every file is read to its end.
        """
        for number in sorted(_numbers(self._folder)):
            if number < place.number or (until is not None and number > until.number):
                continue

            start = place.offset if number == place.number else 0
            limit = until.offset if until is not None and number == until.number else None
            found = self._read_file(number, start, limit, count)
            if found.lines or found.damaged:
                return found
            place = found.end
        return Lines([], place, 0)

    def _read_file(self, number: int, start: int, limit: int | None, count: int) -> Lines:
        with _path(self._folder, number).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            end = size if limit is None else min(size, limit)
            file.seek(start)
            block = file.read(min(end - start, READ_BYTES))
            # A piece of a line at the end of a block is read with the next block; at the end of
            # the file it is torn.
            at_end = start + len(block) >= end
            if not at_end and b"\n" not in block:
                block += file.readline()

        pieces = block.split(b"\n")
        rest = pieces.pop()
        pieces = pieces[:count]
        lines = [line for line in map(decode, pieces) if line is not None]
        taken = sum(len(piece) + 1 for piece in pieces)
        damaged = len(pieces) - len(lines)
        if rest and at_end and taken + len(rest) == len(block):
            taken, damaged = len(block), damaged + 1
        return Lines(lines, Place(number, start + taken), damaged)

    def delete_before(self, place: Place) -> None:
        """Delete every file whose lines all lie before `place`; raise OSError."""
        for number in _numbers(self._folder):
            if number < place.number:
                _path(self._folder, number).unlink(missing_ok=True)

    def delete_all(self) -> None:
        """Delete the folder, in which nobody writes any more; raise OSError."""
        for number in _numbers(self._folder):
            _path(self._folder, number).unlink(missing_ok=True)
        self._folder.rmdir()


def encode(line: bytes) -> bytes:
    """Return a line as it is on disk."""
    return b"%08x %s\n" % (zlib.crc32(line), line)


def decode(piece: bytes) -> bytes | None:
    """Return the line of a piece between two line feeds; None if it is torn or damaged."""
    line = piece[CHECKSUM + 1 :]
    return line if piece == encode(line)[:-1] else None


def claim(folder: Path) -> int | None:
    """Return a descriptor that keeps `folder` for this process until it is closed, or until the
    process ends; None while another one has it. Raise OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _numbers(folder: Path) -> Iterator[int]:
    for path in folder.iterdir():
        if path.suffix == SUFFIX and path.stem.isdecimal():
            yield int(path.stem)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:08}{SUFFIX}"

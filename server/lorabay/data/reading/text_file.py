"""A file as text, line by line or in pieces, of bounded size whatever stands in it.

Owns encodings: UTF-8 with or without a mark, UTF-16 with one, and bytes that are neither, which
each line says of itself. A line that is too long is skipped and not kept. Only a line feed ends a
line: other separators may stand in strings.
"""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lorabay.data.reading.escaped_bytes import decoded, guess, has_escaped_bytes
from lorabay.data.reasons import Code, Note
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import TextIOWrapper
    from pathlib import Path

_PIECE_CHARS = 1 << 20
_SAMPLE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Line:
    """A line without what ends it; `notes` say how it was decoded."""

    number: int
    text: str
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be had, and why."""

    number: int
    note: Note


class TextFile:
    """An open file; `max_chars` is the longest line or value that is read."""

    def __init__(self, path: Path, max_chars: int) -> None:
        self.path = path
        self.max_chars = max_chars
        self._sample = _sample(path)
        is_utf16 = self._sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        self._file = _opened(path, "utf-16" if is_utf16 else "utf-8-sig")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def bytes_read(self) -> int:
        """Bytes that were taken from the disk."""
        return os.lseek(self._file.fileno(), 0, os.SEEK_CUR)

    @property
    def head(self) -> str:
        """The first characters, by which a type is told."""
        return self._sample.decode(self.encoding, "replace")

    def lines(self) -> Iterator[Line | BadLine]:
        """Yield all lines from here on, those that are too long or broken as such."""
        number = 0
        while text := self._read_line():
            number += 1
            if len(text) > self.max_chars:
                self._skip_line(text)
                limit = f"more than {self.max_chars:,} characters"
                yield BadLine(number, Note(Code.LINE_TOO_LONG, limit))
            else:
                yield _line(number, text.rstrip("\r\n"))

    def pieces(self) -> Iterator[str]:
        """Yield the whole text in pieces, all in `encoding`: for files that lines do not cut."""
        self._file.close()
        self._file = _opened(self.path, self.encoding)
        while piece := self._file.read(_PIECE_CHARS):
            yield piece

    @property
    def encoding(self) -> str:
        """The encoding that the file as a whole is in, as its beginning says."""
        return encoding_of(self._sample)

    def _read_line(self) -> str:
        return self._file.readline(self.max_chars + 1)

    def _skip_line(self, text: str) -> None:
        while text and not text.endswith("\n"):
            text = self._read_line()


def _line(number: int, text: str) -> Line | BadLine:
    if not has_escaped_bytes(text):
        return Line(number, text)

    repaired = decoded(text)
    if repaired is None:
        return BadLine(number, Note(Code.BROKEN_ENCODING))
    return Line(number, repaired[0], (Note(Code.ENCODING_REPAIRED, repaired[1]),))


def _sample(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_SAMPLE_BYTES)
    except OSError as error:
        raise SetupError(f"cannot read {path}: {error.strerror or error}") from error


def _opened(path: Path, encoding: str) -> TextIOWrapper:
    # In UTF-16 there is no way to keep a byte that is wrong.
    errors = "replace" if encoding == "utf-16" else "surrogateescape"
    try:
        return path.open(encoding=encoding, errors=errors, newline="\n")
    except OSError as error:
        raise SetupError(f"cannot read {path}: {error.strerror or error}") from error


def encoding_of(sample: bytes) -> str:
    """Return the encoding of a file that begins with `sample`.

    With any text of UTF-8 it is UTF-8, whatever else stands there.
    """
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"

    text = sample.decode("utf-8", "surrogateescape")
    has_utf8 = any(char > "\x7f" and not "\udc80" <= char <= "\udcff" for char in text)
    # The sample may end within a character.
    if has_utf8 or not has_escaped_bytes(text[:-3]):
        return "utf-8-sig"
    return guess(sample)

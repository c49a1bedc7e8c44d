"""A JSON file: a list of objects, or an object that holds one, read value by value.

Keeps one value and one piece of the file. After a mistake the rest of the file cannot be told
apart, so it is one broken place.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lorabay.data.reading.escaped_bytes import decoded, has_escaped_bytes
from lorabay.data.reading.json_faults import json_fault
from lorabay.data.reading.records import Broken, Record
from lorabay.data.reasons import Code, Note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.reading.text_file import TextFile

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def read(file: TextFile) -> Iterator[Record | Broken]:
    """Yield the objects of the file's list."""
    text = _Text(file)
    number = 0
    try:
        text.open_list()
        while not text.takes("]"):
            number += 1
            yield _record(number, text, file.encoding)
            if not text.takes(","):
                text.expect("]")
                return
    except _TooLongError:
        limit = f"more than {file.max_chars:,} characters, and the rest of the file"
        yield Broken(number, Note(Code.LINE_TOO_LONG, limit))
    except (ValueError, RecursionError) as error:
        fault = f"{json_fault(error)}, and the rest of the file"
        yield Broken(number, Note(Code.BROKEN_LINE, fault))


class _TooLongError(Exception):
    """A value is longer than what is read at once."""


class _Text:
    """The text of a file from where reading stands, of which a piece is there."""

    def __init__(self, file: TextFile) -> None:
        self._pieces = file.pieces()
        self._max_chars = file.max_chars
        self._text = ""
        self._at = 0

    def open_list(self) -> None:
        """Go to the first value of the list: at the top, or the first that a field holds."""
        if self.takes("["):
            return

        self.expect("{")
        while True:
            self.value()
            self.expect(":")
            if self.takes("["):
                return
            self.value()
            self.expect(",")

    def takes(self, char: str) -> bool:
        """Go past `char` if it comes next, and return whether it did."""
        self._skip_space()
        if not self._text.startswith(char, self._at):
            return False
        self._at += 1
        return True

    def expect(self, char: str) -> None:
        """Go past `char`; raises ValueError if something else comes next."""
        if not self.takes(char):
            raise json.JSONDecodeError(f"expected {char}", self._text, self._at)

    def value(self) -> tuple[Any, str]:
        """Go past the value that comes next, and return it with its text."""
        self._skip_space()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except ValueError:
                # It may only be cut; what grows twofold is parsed no more than twice.
                if not self._grow():
                    raise
                continue

            # A number at the end of the piece may go on in the next.
            if end == len(self._text) and self._grow():
                continue
            raw = self._text[self._at : end]
            self._at = end
            return value, raw

    def _skip_space(self) -> None:
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or not self._grow():
                return

    def _grow(self) -> bool:
        """Read as much again as is left, and return whether there was any."""
        left = self._text[self._at :]
        if len(left) > self._max_chars:
            raise _TooLongError

        pieces = []
        wanted = max(1, len(left))
        while wanted > 0 and (piece := next(self._pieces, "")):
            pieces.append(piece)
            wanted -= len(piece)

        self._text, self._at = "".join((left, *pieces)), 0
        return bool(pieces)


def _record(number: int, text: _Text, encoding: str) -> Record | Broken:
    value, raw = text.value()
    notes = () if encoding.startswith("utf") else (Note(Code.ENCODING_REPAIRED, encoding),)

    if has_escaped_bytes(raw):
        repaired = decoded(raw)
        if repaired is None:
            return Broken(number, Note(Code.BROKEN_ENCODING))
        value = json.loads(repaired[0])
        notes = (Note(Code.ENCODING_REPAIRED, repaired[1]),)

    if not isinstance(value, dict):
        return Broken(number, Note(Code.BROKEN_LINE, "it is no object"))
    return Record(number, value, notes)

"""A JSON file: a list of objects, or an object that holds such lists, read value by value.

Several of them may follow one another. Keeps one value and one piece of the file. After a mistake
the rest of the file cannot be told apart, so it is one broken place.
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
_NO_OBJECT = "it is no object"


def read(file: TextFile) -> Iterator[Record | Broken]:
    """Yield the objects of the file's lists."""
    number = 0
    try:
        for row in _Rows(_Text(file), file.encoding).all():
            number = row.number
            yield row
    except _TooLongError:
        limit = f"more than {file.max_chars:,} characters, and the rest of the file"
        yield Broken(number + 1, Note(Code.LINE_TOO_LONG, limit))
    except (ValueError, RecursionError) as error:
        fault = f"{json_fault(error)}, and the rest of the file"
        yield Broken(number + 1, Note(Code.BROKEN_LINE, fault))


class _Rows:
    """The rows of a text, numbered through all of its lists."""

    def __init__(self, text: _Text, encoding: str) -> None:
        self._text = text
        self._encoding = encoding
        self._number = 0

    def all(self) -> Iterator[Record | Broken]:
        """Yield the rows of all lists and objects of the text, which has one or more."""
        while True:
            if self._text.takes("["):
                for value, raw in self._text.values():
                    yield self._row(value, raw)
            else:
                self._text.expect("{")
                yield from self._of_object()
            if self._text.is_at_end():
                return

    def _of_object(self) -> Iterator[Record | Broken]:
        """Yield the rows of an object's lists; one that has none is broken."""
        before = self._number
        for is_list in self._text.fields():
            if is_list:
                yield from self._of_field()
        if self._number == before:
            yield self._broken("it holds no list of objects")

    def _of_field(self) -> Iterator[Record | Broken]:
        """Yield the rows of a list; none if it holds no object, such as a list of tags."""
        passed, has_objects = 0, False
        for value, raw in self._text.values():
            has_objects = has_objects or isinstance(value, dict)
            if not has_objects:
                passed += 1
                continue
            for _ in range(passed):
                yield self._broken(_NO_OBJECT)
            passed = 0
            yield self._row(value, raw)

    def _row(self, value: Any, raw: str) -> Record | Broken:
        encoding = self._encoding
        notes = () if encoding.startswith("utf") else (Note(Code.ENCODING_REPAIRED, encoding),)

        if has_escaped_bytes(raw):
            repaired = decoded(raw)
            if repaired is None:
                return self._broken("", Code.BROKEN_ENCODING)
            value = json.loads(repaired[0])
            notes = (Note(Code.ENCODING_REPAIRED, repaired[1]),)

        if not isinstance(value, dict):
            return self._broken(_NO_OBJECT)
        self._number += 1
        return Record(self._number, value, notes)

    def _broken(self, fault: str, code: Code = Code.BROKEN_LINE) -> Broken:
        self._number += 1
        return Broken(self._number, Note(code, fault))


class _TooLongError(Exception):
    """A value is longer than what is read at once."""


class _Text:
    """The text of a file from where reading stands, of which a piece is there."""

    def __init__(self, file: TextFile) -> None:
        self._pieces = file.pieces()
        self._max_chars = file.max_chars
        self._text = ""
        self._at = 0

    def values(self) -> Iterator[tuple[Any, str]]:
        """Yield the values of the list that has just begun, with their texts."""
        if self.takes("]"):
            return
        yield self.value()
        while self.takes(","):
            yield self.value()
        self.expect("]")

    def fields(self) -> Iterator[bool]:
        """Yield for each field of the object that has just begun whether a list begins there.

        The caller takes the values of that list; any other value is passed over.
        """
        if self.takes("}"):
            return
        while True:
            self.value()
            self.expect(":")
            is_list = self.takes("[")
            yield is_list
            if not is_list:
                self.value()
            if not self.takes(","):
                break
        self.expect("}")

    def is_at_end(self) -> bool:
        """Return whether nothing but space is left."""
        self._skip_space()
        return self._at == len(self._text)

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

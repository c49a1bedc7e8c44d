"""CSV: a header, then one record a row; fields may hold line feeds between quotes.

The separator is the one that the header has most of. A row of another width than the header is
broken, and so is one whose quotes do not end.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import BadLine
from lorabay.data.reasons import Code, Note
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.reading.text_file import TextFile

_SEPARATORS = ",\t;|"


def read(file: TextFile) -> Iterator[Record | Broken]:
    """Yield the rows below the header, by the names of the columns."""
    # The library's own limit, 128 KiB, is for the whole process, and less than some answers have.
    csv.field_size_limit(file.max_chars)
    lines = _Lines(file)
    header = _header(file, lines)
    rows = csv.reader(lines, delimiter=header[0], strict=True)
    names = header[1]

    while True:
        start = lines.number + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            yield Broken(start, Note(Code.BROKEN_LINE, f"not CSV: {error}"))
            continue

        yield from lines.take_broken()
        if cells is None:
            return
        if len(cells) == len(names):
            yield Record(start, dict(zip(names, cells, strict=True)), lines.take_notes())
        elif cells:
            fault = f"{len(cells)} fields where the header has {len(names)}"
            yield Broken(start, Note(Code.BROKEN_LINE, fault))


class _Lines:
    """The lines of a file as the library wants them, and what was the matter with them."""

    def __init__(self, file: TextFile) -> None:
        self.number = 0
        self._lines = file.lines()
        self._notes: tuple[Note, ...] = ()
        self._broken: list[Broken] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            self.number = line.number
            if isinstance(line, BadLine):
                self._broken.append(Broken(line.number, line.note))
                continue
            self._notes = self._notes or line.notes
            return f"{line.text}\n"
        raise StopIteration

    def take_notes(self) -> tuple[Note, ...]:
        """Return how the lines since the last call were decoded."""
        notes, self._notes = self._notes, ()
        return notes

    def take_broken(self) -> list[Broken]:
        """Return the lines since the last call that could not be had."""
        broken, self._broken = self._broken, []
        return broken


def _header(file: TextFile, lines: _Lines) -> tuple[str, list[str]]:
    """Return the separator and the names of the columns; raises SetupError without any."""
    first = next(lines, "")
    separator = max(_SEPARATORS, key=first.count)
    try:
        names = next(csv.reader([first], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise SetupError(f"{file.path}: the header is not CSV: {error}") from error

    names = [name.strip() for name in names]
    if not any(names) or len(set(names)) != len(names):
        raise SetupError(f"{file.path}: the first line has to name each column once")
    return separator, names

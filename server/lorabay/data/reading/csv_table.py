"""CSV: a header, then one record a row; fields may hold line feeds between quotes.

The separator is the one that the header has most of. A row of another width than the header is
broken, and so is one of which a line cannot be had. Where quotes do not end, only the first line is
broken: what follows is read again, line by line.
"""

from __future__ import annotations

import csv
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import BadLine, Line
from lorabay.data.reasons import MEANINGS, Code, Note
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorabay.data.reading.text_file import TextFile

_SEPARATORS = ",\t;|"
_MOST_LINES = 4000
"""Lines of a row: what a quote takes in that does not end is read again for each of them."""


def read(file: TextFile) -> Iterator[Record | Broken]:
    """Yield the rows below the header, by the names of the columns."""
    # The library's own limit, 128 KiB, is for the whole process, and less than some answers have.
    csv.field_size_limit(file.max_chars)
    lines = _Lines(file)
    table = _Table(*_header(file, lines))

    while True:
        try:
            yield from table.rows(lines)
        except csv.Error as error:
            yield Broken(lines.start, Note(Code.BROKEN_LINE, f"not CSV: {error}"))
            lines.read_again()
        else:
            return


@dataclass(frozen=True, slots=True)
class _Table:
    """The separator and the names of the columns."""

    separator: str
    names: Sequence[str]

    def rows(self, lines: _Lines) -> Iterator[Record | Broken]:
        """Yield the rows of the lines; raises csv.Error where lines are none."""
        for cells in csv.reader(lines, delimiter=self.separator, strict=True):
            yield from self._row(cells, lines)
            if len(cells) != len(self.names) and self._are_rows(lines.taken_in()):
                # A quote that did not end has taken them in.
                lines.read_again()
            lines.begin()

    def _row(self, cells: Sequence[str], lines: _Lines) -> Iterator[Record | Broken]:
        """Yield what the cells of a row are: nothing if there are none."""
        bad = lines.bad_line()
        if bad is not None:
            yield Broken(lines.start, bad.note)
        elif len(cells) == len(self.names):
            fields = dict(zip(self.names, cells, strict=True))
            yield Record(lines.start, fields, lines.notes())
        elif cells:
            fault = f"{len(cells)} fields where the header has {len(self.names)}"
            if lines.count() > 1:
                fault += f", in {lines.count()} lines"
            yield Broken(lines.start, Note(Code.BROKEN_LINE, fault))

    def _are_rows(self, texts: Sequence[str]) -> bool:
        """Return whether there are texts and each of them is a row by itself."""
        reader = csv.reader(texts, delimiter=self.separator, strict=True)
        try:
            widths = {len(cells) for cells in reader if cells}
        except csv.Error:
            return False
        return widths == {len(self.names)} and reader.line_num == len(texts)


class _Lines:
    """The lines of a file as the library wants them, and those of the row that is read."""

    def __init__(self, file: TextFile) -> None:
        self._max_chars = file.max_chars
        self._lines = file.lines()
        self._again: deque[Line | BadLine] = deque()
        self._taken: list[Line | BadLine] = []
        self._chars = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._taken.append(line)
        # The row is broken, but what its quotes hold ends where it ends.
        text = "" if isinstance(line, BadLine) else line.text
        self._chars += len(text)
        if self._chars > self._max_chars:
            raise csv.Error(f"a row of more than {self._max_chars:,} characters")
        if len(self._taken) > _MOST_LINES:
            raise csv.Error(f"a row of more than {_MOST_LINES:,} lines")
        return f"{text}\n"

    @property
    def start(self) -> int:
        """The number of the row's first line."""
        return self._taken[0].number

    def begin(self) -> None:
        """Let a row begin with the next line."""
        self._taken = []
        self._chars = 0

    def read_again(self) -> None:
        """Let a row begin with the second line of this one."""
        self._again.extendleft(reversed(self._taken[1:]))
        self.begin()

    def taken_in(self) -> list[str]:
        """Return the texts of the row's lines between its first and its last, or else the last."""
        texts = [line.text for line in self._taken[1:] if isinstance(line, Line)]
        return texts[:-1] or texts

    def count(self) -> int:
        """Return how many lines the row has."""
        return len(self._taken)

    def bad_line(self) -> BadLine | None:
        """Return the first of the row's lines that could not be had; None if all could."""
        return next((line for line in self._taken if isinstance(line, BadLine)), None)

    def notes(self) -> tuple[Note, ...]:
        """Return how the row's lines were decoded."""
        notes = (line.notes for line in self._taken if isinstance(line, Line))
        return next(filter(None, notes), ())


def _header(file: TextFile, lines: _Lines) -> tuple[str, list[str]]:
    """Return the separator and the names of the columns; raises SetupError without any."""
    first = next(lines, "")
    bad = lines.bad_line()
    if bad is not None:
        raise SetupError(f"{file.path}: the header cannot be read: {MEANINGS[bad.note.code].text}")

    lines.begin()
    separator = max(_SEPARATORS, key=first.count)
    try:
        names = next(csv.reader([first], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise SetupError(f"{file.path}: the header is not CSV: {error}") from error

    names = [name.strip() for name in names]
    if not any(names) or len(set(names)) != len(names):
        raise SetupError(f"{file.path}: the first line has to name each column once")
    return separator, names

"""The first pass: every row is read, taken through the steps for a single row, and kept on disk.

Holds one row. The steps for a single row are a sequence of functions from an example to what
becomes of it; a new one is one more of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lorabay.data.inputs import open_input
from lorabay.data.layouts.layout import UnusableError
from lorabay.data.matching import grams
from lorabay.data.reading.text_file import TextFile
from lorabay.data.reasons import Kept, Removed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorabay.data.changes import Changes
    from lorabay.data.duplicates.signature_files import SignatureFiles
    from lorabay.data.example import Example
    from lorabay.data.inputs import InputFile, InputWishes, Row
    from lorabay.data.origins import Origins
    from lorabay.data.reasons import Note, Outcome
    from lorabay.data.spool import Spool

_ROWS_A_STEP = 64


class RowStep(Protocol):
    """A step for a single row. It must not depend on other rows, and do nothing the second time."""

    def __call__(self, example: Example) -> Outcome:
        """Return what becomes of an example."""
        ...


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file was found to be, and how many rows it had."""

    name: str
    file_type: str
    layout: str
    rows: int
    kept: int


class Collector:
    """The pass over the files, into a spool and its signatures."""

    def __init__(
        self,
        steps: Sequence[RowStep],
        origins: Origins,
        spool: Spool,
        signatures: SignatureFiles,
        changes: Changes,
    ) -> None:
        self._steps = steps
        self._origins = origins
        self._spool = spool
        self._signatures = signatures
        self._changes = changes

    def collect(
        self, input_file: InputFile, wishes: InputWishes, advance: Callable[[int], object]
    ) -> FileFacts:
        """Take all rows of a file; `advance` is told the bytes as they are read."""
        part = self._origins.part_of(input_file)
        rows = kept = reported = 0
        with TextFile(input_file.path, wishes.max_line_chars) as file:
            opened = open_input(file, wishes)
            for row in opened.rows:
                rows += 1
                kept += self._take(row, f"{input_file.name}:{row.number}", part)
                if rows % _ROWS_A_STEP == 0:
                    advance(file.bytes_read - reported)
                    reported = file.bytes_read
            advance(file.bytes_read - reported)
        return FileFacts(input_file.name, opened.file_type, opened.layout, rows, kept)

    def _take(self, row: Row, source: str, part: int) -> bool:
        """Keep a row, or list why it goes; return whether it was kept."""
        outcome, notes = self._stepped(row.outcome)
        if isinstance(outcome, Removed):
            self._changes.add(source, (outcome.note,))
            return False

        try:
            origin = self._origins.origin(source, part, row.fields)
        except UnusableError as error:
            self._changes.add(source, (error.note,))
            return False

        self._changes.add(source, notes)
        said = self._spool.add(outcome.example, origin)
        self._signatures.add(grams(said))
        return True

    def _stepped(self, outcome: Outcome) -> tuple[Outcome, tuple[Note, ...]]:
        """Return what the steps leave of a row, and all that they changed."""
        notes: tuple[Note, ...] = ()
        for step in self._steps:
            if isinstance(outcome, Removed):
                return outcome, ()
            notes += outcome.notes
            outcome = step(outcome.example)
        if isinstance(outcome, Kept):
            notes += outcome.notes
        return outcome, notes

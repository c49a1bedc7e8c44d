"""What readers yield: records and the places of what is broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lorabay.data.reasons import Note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.reading.text_file import TextFile

Fields = dict[str, Any]
"""The values of a record by the names of its fields or columns."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file; `number` is its line, or its place among the records."""

    number: int
    fields: Fields
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """A place of a file that holds no record, and why."""

    number: int
    note: Note


class Reader(Protocol):
    """A type of file."""

    def __call__(self, file: TextFile) -> Iterator[Record | Broken]:
        """Yield the records of a file in order; raise SetupError if the file is none of its
        type.
        """
        ...

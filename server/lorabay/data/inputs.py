"""The files of a command line, each with its reader and its layout, as a stream of outcomes.

Owns which files a folder stands for, the names by which rows are reported, and the part that a
file's name says. Does not clean.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.data.layouts.pairs import Pairs
from lorabay.data.layouts.table import LAYOUTS, SAMPLE_RECORDS, layout_of
from lorabay.data.reading.readers import READERS, SUFFIXES, type_of
from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import TextFile
from lorabay.data.reasons import Kept, Removed
from lorabay.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lorabay.data.layouts.layout import Layout
    from lorabay.data.reading.records import Fields
    from lorabay.data.reasons import Outcome

_SAMPLE_BYTES = 4 << 20
_MOST_SHOWN = 20
_IDENTIFIER = re.compile(r"[A-Za-z_]{1,40}[0-9]{0,2}")

PARTS = ("train", "dev", "test")
"""Parts of a split, which are also the names of its files."""

_PART_OF_WORD: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "valid": "dev",
    "validation": "dev",
    "eval": "dev",
    "test": "test",
    "heldout": "test",
}


@dataclass(frozen=True, slots=True)
class InputWishes:
    """How inputs are read where that is not left to what stands in them."""

    file_type: str | None = None
    layout: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    max_line_chars: int = 8 << 20


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file, and its name in reports."""

    path: Path
    name: str

    @property
    def part(self) -> str | None:
        """The part that the file's name says, such as dev for `dev.jsonl`; None for none."""
        words = self.path.stem.lower().replace("-", "_").replace(".", "_").split("_")
        named = [_PART_OF_WORD[word] for word in words if word in _PART_OF_WORD]
        return named[-1] if named else None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an input: where it stands, its fields, and the example that it is or is not."""

    number: int
    fields: Fields
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Opened:
    """An open input: what it was found to be, and its rows."""

    file: TextFile
    file_type: str
    layout: str
    rows: Iterator[Row]


def input_files(inputs: Sequence[Path]) -> tuple[InputFile, ...]:
    """Return the files that paths stand for: themselves, or what lies in a folder, by name.

    Raises SetupError for a path that is not there and a folder without data.
    """
    paths = tuple(chain.from_iterable(map(_files, inputs)))
    repeated = {path for path in paths if paths.count(path) > 1}
    if repeated:
        raise SetupError(f"{min(repeated)} is named twice")

    top = os.path.commonpath([path.absolute().parent for path in paths])
    return tuple(InputFile(path, _name(path, top)) for path in paths)


def _name(path: Path, top: str) -> str:
    """Return the way to a file from a folder, in letters that can be written."""
    return os.fsencode(os.path.relpath(path.absolute(), top)).decode("utf-8", "backslashreplace")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SetupError(f"there is no file or folder {path}")

    found = sorted(
        one for one in path.iterdir() if one.is_file() and one.suffix.lower() in SUFFIXES
    )
    if not found:
        raise SetupError(f"the folder {path} has no files of data ({', '.join(SUFFIXES)})")
    return found


def open_input(file: TextFile, wishes: InputWishes) -> Opened:
    """Return what a file was found to be, with its rows; raises SetupError if that is nothing.

    Raises UsageError for a type or a layout that there is not.
    """
    _check_choice("--file-type", wishes.file_type, tuple(READERS))
    _check_choice("--layout", wishes.layout, tuple(LAYOUTS))

    file_type = wishes.file_type or type_of(file, _is_row)
    read = READERS[file_type](file)
    head = _head(file, read)
    sample = [record.fields for record in head if isinstance(record, Record)]

    name, layout = _layout(file, sample, wishes)
    rows = (_row(record, layout) for record in chain(head, read))
    return Opened(file, file_type, name, rows)


def _is_row(fields: Fields) -> bool:
    return layout_of([fields]) is not None


def _head(file: TextFile, read: Iterator[Record | Broken]) -> list[Record | Broken]:
    """Return the first records, fewer where they are large."""
    head: list[Record | Broken] = []
    for record in islice(read, SAMPLE_RECORDS):
        head.append(record)
        if file.bytes_read > _SAMPLE_BYTES:
            break
    return head


def _check_choice(option: str, choice: str | None, choices: tuple[str, ...]) -> None:
    if choice is not None and choice not in choices:
        raise UsageError(f"{option} {choice!r}: choose one of {', '.join(choices)}")


def _layout(file: TextFile, sample: list[Fields], wishes: InputWishes) -> tuple[str, Layout]:
    if wishes.fields:
        _check_fields(file, sample, wishes.fields)
        return "pairs", Pairs(wishes.fields)

    name = wishes.layout or layout_of(sample)
    if name is not None:
        return name, LAYOUTS[name]
    if not sample:
        # Every row is reported as broken; the layout of none is not asked for.
        return "pairs", LAYOUTS["pairs"]

    raise SetupError(
        f"{file.path}: the layout cannot be told from {_shown(sample[0])}; name the fields, as in "
        "--fields instruction=question,output=reply, or one of --layout "
        f"{', '.join(LAYOUTS)}"
    )


def _check_fields(file: TextFile, sample: list[Fields], names: Mapping[str, str]) -> None:
    there = {name for fields in sample for name in fields}
    for name in names.values():
        if sample and name not in there:
            raise SetupError(f"{file.path} has no field {name!r}; it has {_shown(sorted(there))}")


def _shown(names: Iterable[str]) -> str:
    """Return fields by their names, or how many if these may be what a row says.

    The first row of a CSV without a header is taken for the names.
    """
    names = list(names)
    if all(map(_IDENTIFIER.fullmatch, names)):
        return f"the fields {', '.join(names[:_MOST_SHOWN])}"
    return f"its {len(names)} fields, whose names look like what a row says: has it a header?"


def _row(record: Record | Broken, layout: Layout) -> Row:
    if isinstance(record, Broken):
        return Row(record.number, {}, Removed(record.note))

    outcome = layout.outcome(record.fields)
    if isinstance(outcome, Kept):
        outcome = Kept(outcome.example, (*record.notes, *outcome.notes))
    return Row(record.number, record.fields, outcome)

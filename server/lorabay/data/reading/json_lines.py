"""JSON lines: one object a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lorabay.data.reading.json_faults import json_fault
from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import BadLine
from lorabay.data.reasons import Code, Note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.reading.text_file import Line, TextFile


def read(file: TextFile) -> Iterator[Record | Broken]:
    """Yield the object of each line that is not blank."""
    for line in file.lines():
        if isinstance(line, BadLine):
            yield Broken(line.number, line.note)
        elif line.text.strip():
            yield _record(line)


def _record(line: Line) -> Record | Broken:
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        return Broken(line.number, Note(Code.BROKEN_LINE, json_fault(error)))

    if not isinstance(value, dict):
        return Broken(line.number, Note(Code.BROKEN_LINE, "it is no object"))
    return Record(line.number, value, line.notes)

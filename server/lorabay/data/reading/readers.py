"""The table of readers, and which of them a file is for: by what stands in it, then by its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lorabay.data.reading import csv_table, json_lines, json_values, parquet, transcripts
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.data.reading.records import Fields, Reader
    from lorabay.data.reading.text_file import TextFile

READERS: Mapping[str, Reader] = {
    "jsonl": json_lines.read,
    "json": json_values.read,
    "csv": csv_table.read,
    "parquet": parquet.read,
    "transcript": transcripts.read,
}
"""Types of files by the names that the command line knows."""

SUFFIXES: Mapping[str, str] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "transcript",
    ".log": "transcript",
}
"""Endings of names that a folder is searched for, and the type that each stands for."""


def type_of(file: TextFile, is_row: Callable[[Fields], bool]) -> str:
    """Return the name of the reader for a file; raises SetupError if none is.

    `is_row` tells a row from an object that holds the rows.
    """
    head = file.head.lstrip("\ufeff \t\r\n")
    named = SUFFIXES.get(file.path.suffix.lower())

    if head.startswith("PAR1") or named == "parquet":
        return "parquet"
    if head.startswith("["):
        # The time of a transcript's line may stand in brackets, too.
        return "transcript" if named == "transcript" and _has_speaker(head) else "json"
    if head.startswith("{"):
        line, _, rest = head.partition("\n")
        is_line = named == "jsonl" or _begins_lines(line, rest, is_row)
        return "jsonl" if is_line else "json"
    if named is not None:
        return named
    if _has_speaker(head):
        return "transcript"
    raise SetupError(
        f"{file.path}: its type cannot be told; name one with --file-type: {', '.join(READERS)}"
    )


def _has_speaker(head: str) -> bool:
    return any(transcripts.speaker_of(line.rstrip("\r")) for line in head.split("\n")[:20])


def _begins_lines(line: str, rest: str, is_row: Callable[[Fields], bool]) -> bool:
    """Return whether a file whose first line begins an object has an object a line.

    One on a single line may also hold the rows.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict):
        return False
    return bool(rest.strip()) or is_row(value) or not _holds_objects(value)


def _holds_objects(value: Fields) -> bool:
    lists = [field for field in value.values() if isinstance(field, list)]
    return any(isinstance(one, dict) for field in lists for one in field)

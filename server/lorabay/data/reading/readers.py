"""The table of readers, and which of them a file is for: by what stands in it, then by its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lorabay.data.layouts.table import layout_of
from lorabay.data.reading import csv_table, json_lines, json_values, parquet, transcripts
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def type_of(file: TextFile) -> str:
    """Return the name of the reader for a file; raises SetupError if none is."""
    head = file.head.lstrip("\ufeff \t\r\n")
    named = SUFFIXES.get(file.path.suffix.lower())

    if head.startswith("PAR1") or named == "parquet":
        return "parquet"
    if head.startswith("["):
        # The time of a transcript's line may stand in brackets, too.
        return "transcript" if named == "transcript" and _has_speaker(head) else "json"
    if head.startswith("{"):
        return "jsonl" if named == "jsonl" or _is_row(*head.split("\n", 1)) else "json"
    if named is not None:
        return named
    if _has_speaker(head):
        return "transcript"
    raise SetupError(
        f"{file.path}: its type cannot be told; name one with --file-type: {', '.join(READERS)}"
    )


def _has_speaker(head: str) -> bool:
    return any(transcripts.speaker_of(line.rstrip("\r")) for line in head.split("\n")[:20])


def _is_row(line: str, rest: str = "") -> bool:
    """Return whether the first line of a file is a row: an object that holds no other rows.

    Where more lines follow, each is one.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict):
        return False
    return bool(rest.strip()) or layout_of([value]) is not None or not _holds_objects(value)


def _holds_objects(value: Fields) -> bool:
    lists = [field for field in value.values() if isinstance(field, list)]
    return any(isinstance(one, dict) for field in lists for one in field)

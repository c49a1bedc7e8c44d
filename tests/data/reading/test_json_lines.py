"""JSON lines."""

from __future__ import annotations

from pathlib import Path

from lorabay.data.reading import json_lines
from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import TextFile
from lorabay.data.reasons import Code

LINES = (
    b"""{"a": 1}

{"a": 2
[1]
{"a": """
    + b"[" * 5000
    + b"""
{"a": 3}
"""
)


def test_every_line_is_a_record_or_says_why_not(tmp_path: Path) -> None:
    """Blank lines are neither."""
    (tmp_path / "a").write_bytes(LINES)
    with TextFile(tmp_path / "a", 10_000) as file:
        read = list(json_lines.read(file))

    assert [record.number for record in read] == [1, 3, 4, 5, 6]
    assert [record.fields for record in read if isinstance(record, Record)] == [{"a": 1}, {"a": 3}]
    broken = [record.note for record in read if isinstance(record, Broken)]
    assert {note.code for note in broken} == {Code.BROKEN_LINE}
    assert "not JSON" in broken[0].detail
    assert broken[1].detail == "it is no object"

"""Which reader a file is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.reading.readers import READERS, SUFFIXES, type_of
from lorabay.data.reading.records import Fields
from lorabay.data.reading.text_file import TextFile
from lorabay.errors import SetupError


def _is_row(fields: Fields) -> bool:
    return bool(fields.keys() & {"question", "messages"})


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.jsonl", '{"a": 1}\n', "jsonl"),
        ("a.jsonl", "{broken\n", "jsonl"),
        ("a.json", '[{"a": 1}]', "json"),
        ("a.json", '{"a": 1}\n{"a": 2}\n', "jsonl"),
        ("a.json", '{\n "data": [{"a": 1}]\n}', "json"),
        ("a.json", '{"version": 1, "data": [{"a": 1}]}', "json"),
        ("a.json", '{"question": "q", "answer": "a", "tags": [{"a": 1}]}\n', "jsonl"),
        ("a.json", '{"messages": [{"role": "user", "content": "q"}]}', "jsonl"),
        ("a", '\ufeff[{"a": 1}]', "json"),
        ("a.txt", "[10:15] User: hi\n", "transcript"),
        ("a.txt", '[{"a": 1}]', "json"),
        ("a", "User: hi\nBot: ho\n", "transcript"),
        ("a.tsv", "q\ta\n", "csv"),
        ("a", "PAR1....", "parquet"),
    ],
)
def test_content_comes_before_the_name(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """Many files that are called .json hold JSON lines."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with TextFile(tmp_path / name, 100) as file:
        assert type_of(file, _is_row) == expected


def test_a_file_of_no_type_says_what_to_name(tmp_path: Path) -> None:
    """Every type that there is."""
    (tmp_path / "a").write_text("something", encoding="utf-8")
    with (
        TextFile(tmp_path / "a", 100) as file,
        pytest.raises(SetupError, match="--file-type: jsonl, json, csv, parquet, transcript"),
    ):
        type_of(file, _is_row)
    assert set(SUFFIXES.values()) == set(READERS)

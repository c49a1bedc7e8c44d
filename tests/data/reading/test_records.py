"""What all readers have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.reading.readers import READERS
from lorabay.data.reading.records import Record
from lorabay.data.reading.text_file import TextFile

SAME = {
    "jsonl": '{"q": "Why?", "a": "So."}\n{"q": "How?", "a": "Thus."}\n',
    "json": '[{"q": "Why?", "a": "So."}, {"q": "How?", "a": "Thus."}]',
    "csv": "q,a\nWhy?,So.\nHow?,Thus.\n",
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_records_come_of_every_type(tmp_path: Path, name: str) -> None:
    """In order, with rising numbers."""
    (tmp_path / "file").write_text(SAME[name], encoding="utf-8")
    with TextFile(tmp_path / "file", 1000) as file:
        records = list(READERS[name](file))

    assert all(isinstance(record, Record) for record in records)
    fields = [record.fields for record in records if isinstance(record, Record)]
    assert fields == [{"q": "Why?", "a": "So."}, {"q": "How?", "a": "Thus."}]
    assert records[0].number < records[1].number

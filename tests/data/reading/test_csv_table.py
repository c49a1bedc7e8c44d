"""CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.reading import csv_table
from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import TextFile
from lorabay.data.reasons import Code
from lorabay.errors import SetupError


def _read(path: Path, data: bytes, max_chars: int = 300_000) -> list[Record | Broken]:
    path.write_bytes(data)
    with TextFile(path, max_chars) as file:
        return list(csv_table.read(file))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_header_says_the_separator(tmp_path: Path, separator: str) -> None:
    """Fields may hold separators, quotes and line feeds."""
    head = separator.join(("question", "answer"))
    row = separator.join((f'"a{separator}b ""c"""', '"two\nlines"'))
    [record] = _read(tmp_path / "a", f"{head}\r\n{row}\r\n".encode())
    assert isinstance(record, Record)
    assert record.fields == {"question": f'a{separator}b "c"', "answer": "two\nlines"}
    assert record.number == 2


def test_rows_of_another_width_are_broken(tmp_path: Path) -> None:
    """Empty rows are nothing, and those after are read."""
    read = _read(tmp_path / "a", b"q,a\n1\n\n1,2\n1,2,3\n3,4\n")
    assert [type(record) for record in read] == [Broken, Record, Broken, Record]
    assert [record.number for record in read] == [2, 4, 5, 6]


def test_a_quote_that_does_not_end_is_broken(tmp_path: Path) -> None:
    """It takes the rest of the file with it, as one broken place."""
    read = _read(tmp_path / "a", b'q,a\n1,2\n"3,4\n5,6\n')
    assert [type(record) for record in read] == [Record, Broken]
    assert read[1].number == 3


def test_a_field_may_be_larger_than_the_library_takes_by_itself(tmp_path: Path) -> None:
    """Answers do reach that; a line beyond the limit is one broken place."""
    [record] = _read(tmp_path / "a", b"q,a\n1," + b"x" * 200_000 + b"\n")
    assert isinstance(record, Record)
    [broken, last] = _read(tmp_path / "a", b"q,a\n1," + b"x" * 2000 + b"\n1,2\n", max_chars=1000)
    assert isinstance(broken, Broken)
    assert broken.note.code == Code.LINE_TOO_LONG
    assert isinstance(last, Record)


@pytest.mark.parametrize("header", [b"\n", b"a,a\n", b'"a,b\n'])
def test_a_header_that_names_no_columns_is_refused(tmp_path: Path, header: bytes) -> None:
    """The first line has to name each column once."""
    with pytest.raises(SetupError, match=r"header|first line"):
        _read(tmp_path / "a", header + b"1,2\n")

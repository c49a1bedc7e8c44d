"""CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.reading import csv_table
from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import TextFile
from lorabay.data.reasons import Code, Note
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
    """The rows after it are read."""
    read = _read(tmp_path / "a", b'q,a\n1,2\n"3,4\n5,6\n\n7,8\n')
    assert [(type(record), record.number) for record in read] == [
        (Record, 2),
        (Broken, 3),
        (Record, 4),
        (Record, 6),
    ]


def test_rows_between_two_stray_quotes_are_read(tmp_path: Path) -> None:
    """Whether the second one ends a field, or is a fault itself."""
    for stray in (b'7,"', b'7,"8'):
        read = _read(tmp_path / "a", b'q,a\n"1,2\n3,4\n5,6\n' + stray + b"\n9,10\n")
        rows = [record.number for record in read if isinstance(record, Record)]
        assert (rows, [record.number for record in read]) == ([3, 4, 6], [2, 3, 4, 5, 6])

    [broken, *rest] = _read(tmp_path / "a", b'q,a\n"1,2\n3,4\n5",6,7\n9,10\n')
    assert isinstance(broken, Broken)
    assert [(type(record), record.number) for record in rest] == [
        (Record, 3),
        (Broken, 4),
        (Record, 5),
    ]


def test_a_row_of_another_width_may_have_several_lines(tmp_path: Path) -> None:
    """If these are no rows, it is one broken row."""
    read = _read(tmp_path / "a", b'q,a\n"1\ntwo",3,4\n5,6\n')
    assert [(type(record), record.number) for record in read] == [(Broken, 2), (Record, 4)]


def test_a_row_has_no_holes(tmp_path: Path) -> None:
    """A line in its quotes that cannot be had breaks it; rows after it are at their lines."""
    read = _read(tmp_path / "a", b'q,a\n1,"a\n\x81\xff\x90\nb"\n2,3\n\xff\x90\n4,5\n')
    assert [(type(record), record.number) for record in read] == [
        (Broken, 2),
        (Record, 5),
        (Broken, 6),
        (Record, 7),
    ]
    assert isinstance(read[0], Broken)
    assert read[0].note.code == Code.BROKEN_ENCODING


def test_a_row_says_how_its_own_lines_were_decoded(tmp_path: Path) -> None:
    """Not how the header was, nor a broken row before it."""
    data = "问,答\n".encode("gb18030") + b"1,2\n" + '好,"是\n5,6\n'.encode("gb18030")
    read = _read(tmp_path / "a", data + "好,是\n".encode("gb18030"))
    assert [getattr(record, "notes", None) for record in read] == [
        (),
        None,
        (),
        (Note(Code.ENCODING_REPAIRED, "gb18030"),),
    ]


@pytest.mark.parametrize(("max_chars", "most_lines"), [(100, 4000), (300_000, 10)])
def test_a_row_has_a_most_of_characters_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_chars: int, most_lines: int
) -> None:
    """The rows that a stray quote takes in are read again, however many there are."""
    monkeypatch.setattr(csv_table, "_MOST_LINES", most_lines)
    data = b'q,a\n"1,2\n' + b"3,4\n" * 500
    read = _read(tmp_path / "a", data, max_chars)
    assert [type(record) for record in read] == [Broken, *[Record] * 500]


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


def test_a_header_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """The next line is no header."""
    with pytest.raises(SetupError, match=r"header cannot be read: Its bytes"):
        _read(tmp_path / "a", b"q,\xff\x90\n1,2\n")

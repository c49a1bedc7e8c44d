"""Files as text, of bounded size and in several encodings."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.reading.text_file import BadLine, Line, TextFile, encoding_of
from lorabay.data.reasons import Code
from lorabay.errors import SetupError


def _lines(path: Path, data: bytes, max_chars: int = 20) -> list[Line | BadLine]:
    path.write_bytes(data)
    with TextFile(path, max_chars) as file:
        return list(file.lines())


def test_lines_end_in_line_feeds_only(tmp_path: Path) -> None:
    """A carriage return before it belongs to the end; other separators are text."""
    lines = _lines(tmp_path / "a", "one\r\ntwo\u2028\n\nlast".encode())
    assert [line.text for line in lines if isinstance(line, Line)] == [
        "one",
        "two\u2028",
        "",
        "last",
    ]
    assert [line.number for line in lines] == [1, 2, 3, 4]


def test_a_line_that_is_too_long_is_skipped(tmp_path: Path) -> None:
    """The next one is read all the same, also after many times the limit."""
    lines = _lines(tmp_path / "a", b"a\n" + b"x" * 1000 + b"\nb\n" + b"y" * 20 + b"\n")
    assert [type(line) for line in lines] == [Line, BadLine, Line, BadLine]
    assert isinstance(lines[1], BadLine)
    assert lines[1].note.code == Code.LINE_TOO_LONG
    assert lines[2].number == 3


def test_each_line_has_an_encoding_of_its_own(tmp_path: Path) -> None:
    """Exports that were put together have several."""
    data = "你好\n".encode() + "你好\n".encode("gb18030") + "déjà vu\n".encode("cp1252")
    lines = _lines(tmp_path / "a", data)
    assert [line.text for line in lines if isinstance(line, Line)] == ["你好", "你好", "déjà vu"]
    assert [[note.detail for note in line.notes] for line in lines if isinstance(line, Line)] == [
        [],
        ["gb18030"],
        ["cp1252"],
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_mark_of_the_encoding_is_no_text(tmp_path: Path, encoding: str) -> None:
    """Of UTF-8 and of UTF-16, as spreadsheets write them."""
    lines = _lines(tmp_path / "a", "头,b\nc\n".encode(encoding))
    assert [line.text for line in lines if isinstance(line, Line)] == ["头,b", "c"]


def test_the_encoding_of_a_whole_file_is_told_by_its_beginning() -> None:
    """A beginning that is cut within a character is still UTF-8."""
    assert encoding_of("中文".encode()[:-1]) == "utf-8-sig"
    assert encoding_of("中文中文".encode("gb18030")) == "gb18030"
    assert encoding_of(b"plain") == "utf-8-sig"


def test_bytes_are_counted_and_a_missing_file_is_named(tmp_path: Path) -> None:
    """A bar goes by the bytes."""
    (tmp_path / "a").write_bytes(b"one\n" * 3)
    with TextFile(tmp_path / "a", 20) as file:
        assert file.head.startswith("one")
        assert list(file.pieces()) == ["one\n" * 3]
        assert file.bytes_read == 12
    with pytest.raises(SetupError, match="cannot read"):
        TextFile(tmp_path / "absent", 20)

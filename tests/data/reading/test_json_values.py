"""JSON files, value by value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.data.reading import json_values, text_file
from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import TextFile
from lorabay.data.reasons import Code

ROWS = [{"a": number, "b": "x\ny" * number, "c": [1.5, {"d": None}]} for number in range(30)]


def _read(path: Path, data: str | bytes, max_chars: int = 1000) -> list[Record | Broken]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with TextFile(path, max_chars) as file:
        return list(json_values.read(file))


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_the_list_is_read_however_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, indent: int | None
) -> None:
    """Pieces of the file end anywhere: in strings, in numbers, between values."""
    monkeypatch.setattr(text_file, "_PIECE_CHARS", piece)
    read = _read(tmp_path / "a", json.dumps(ROWS, indent=indent))
    assert [record.fields for record in read if isinstance(record, Record)] == ROWS
    assert [record.number for record in read] == list(range(1, 31))


def test_a_list_in_an_object_is_found(tmp_path: Path) -> None:
    """What stands before it is passed over."""
    text = json.dumps({"version": 2, "about": {"n": [1]}, "data": ROWS, "end": 1})
    assert len(_read(tmp_path / "a", text)) == len(ROWS)
    assert _read(tmp_path / "a", "[]") == []


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}, {"a": 2}] [{"a": 3}]',
        '{"train": [{"a": 1}, {"a": 2}], "test": [{"a": 3}]}',
        '{"tags": [], "words": ["b"], "data": [{"a": 1}, {"a": 2}, {"a": 3}]}',
        '{"data": [{"a": 1}]}\n{"data": [{"a": 2}, {"a": 3}]}\n',
    ],
)
def test_all_lists_of_a_file_are_read(tmp_path: Path, text: str) -> None:
    """Numbered through; a list without any object is passed over."""
    read = _read(tmp_path / "a", text)
    assert read == [Record(number, {"a": number}) for number in (1, 2, 3)]


def test_what_is_no_row_is_listed(tmp_path: Path) -> None:
    """After the list, in it before its first object, and an object without lists."""
    read = _read(tmp_path / "a", '[{"a": 1}] and more')
    assert [(type(record), record.number) for record in read] == [(Record, 1), (Broken, 2)]
    read = _read(tmp_path / "a", '{"data": [null, 1, {"a": 3}]}')
    assert [type(record) for record in read] == [Broken, Broken, Record]
    read = _read(tmp_path / "a", '[{"a": 1}] {"a": 2} {}')
    assert [type(record) for record in read] == [Record, Broken, Broken]


def test_what_follows_a_mistake_is_one_broken_place(tmp_path: Path) -> None:
    """What came before is kept."""
    read = _read(tmp_path / "a", '[{"a": 1}, {"a": 2}, {"a" 3}, {"a": 4}]')
    assert [type(record) for record in read] == [Record, Record, Broken]
    assert isinstance(read[2], Broken)
    assert read[2].number == 3
    assert read[2].note.detail.endswith("and the rest of the file")


@pytest.mark.parametrize("text", ["", "[", '{"a": 1}', "[1", '[{"a": 1}'])
def test_a_file_that_is_cut_says_so(tmp_path: Path, text: str) -> None:
    """And no exception leaves the reader."""
    assert isinstance(_read(tmp_path / "a", text)[-1], Broken)


def test_a_value_that_is_too_long_ends_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it fills the memory."""
    monkeypatch.setattr(text_file, "_PIECE_CHARS", 64)
    read = _read(tmp_path / "a", json.dumps([{"a": 1}, {"a": "x" * 5000}]))
    assert isinstance(read[-1], Broken)
    assert read[-1].note.code == Code.LINE_TOO_LONG


def test_other_encodings_are_read(tmp_path: Path) -> None:
    """And said so; a value that is no object is one broken row among good ones."""
    text = json.dumps([{"a": "退货"}, 5, {"a": "发货"}], ensure_ascii=False)
    read = _read(tmp_path / "a", text.encode("gb18030"))
    assert [record.fields["a"] for record in read if isinstance(record, Record)] == ["退货", "发货"]
    assert [note.detail for note in read[0].notes] == ["gb18030"]  # type: ignore[union-attr]
    assert isinstance(read[1], Broken)

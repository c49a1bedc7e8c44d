"""Inputs: which files, of which type and layout, and what each row is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorabay.data.inputs import InputFile, InputWishes, Row, input_files, open_input
from lorabay.data.reading.text_file import TextFile
from lorabay.data.reasons import Code, Kept, Removed
from lorabay.errors import SetupError, UsageError

GOOD = '{"question": "Why?", "answer": "So."}\n'


def _rows(path: Path, **wishes: object) -> tuple[str, str, list[Row]]:
    with TextFile(path, 1000) as file:
        opened = open_input(file, InputWishes(**wishes))  # type: ignore[arg-type]
        return opened.file_type, opened.layout, list(opened.rows)


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_type_and_layout_are_found_and_can_be_named(tmp_path: Path) -> None:
    """What is named is taken, whatever stands there."""
    path = _written(tmp_path, "a.txt", GOOD)
    assert _rows(path)[:2] == ("jsonl", "pairs")
    assert _rows(path, layout="alpaca")[:2] == ("jsonl", "alpaca")
    with pytest.raises(UsageError, match="choose one of messages"):
        _rows(path, layout="chatml")
    with pytest.raises(UsageError, match="choose one of jsonl"):
        _rows(path, file_type="xml")


def test_an_object_on_one_line_is_a_row_or_holds_them(tmp_path: Path) -> None:
    """By what its fields say."""
    row = GOOD.strip()
    path = _written(tmp_path, "a.json", f'{{"version": "1", "data": [{row}, {row}]}}')
    assert [len(_rows(path)[2]), _rows(path)[0]] == [2, "json"]
    path = _written(tmp_path, "b.json", GOOD.replace("}", ', "tags": [{"a": 1}]}'))
    assert [len(_rows(path)[2]), _rows(path)[0]] == [1, "jsonl"]


def test_a_broken_row_hides_no_other(tmp_path: Path) -> None:
    """It keeps its number, and says what is wrong."""
    path = _written(tmp_path, "a.jsonl", f"{{broken\n{GOOD}\n{GOOD}")
    _, _, rows = _rows(path)
    assert [row.number for row in rows] == [1, 2, 4]
    assert isinstance(rows[0].outcome, Removed)
    assert rows[0].outcome.note.code == Code.BROKEN_LINE
    assert all(isinstance(row.outcome, Kept) for row in rows[1:])


def test_a_field_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Beside those that are."""
    path = _written(tmp_path, "a.csv", "ask,reply\nWhy?,So.\n")
    names = {"instruction": "ask", "output": "answer"}
    with pytest.raises(SetupError, match="no field 'answer'; it has the fields ask, reply"):
        _rows(path, fields=names)
    with pytest.raises(SetupError, match="the fields ask, reply; name the fields"):
        _rows(path)


def test_what_a_row_says_is_not_shown_as_a_field(tmp_path: Path) -> None:
    """A CSV without a header has its first row for one."""
    path = _written(tmp_path, "a.csv", "Anna,13812345678,E12345678\nBo,13912345678,G12345678\n")
    with pytest.raises(SetupError, match="its 3 fields, whose names look like") as told:
        _rows(path)
    with pytest.raises(SetupError, match="its 3 fields, whose names look like") as missed:
        _rows(path, fields={"instruction": "ask", "output": "reply"})
    for message in (str(told.value), str(missed.value)):
        assert not any(said in message for said in ("Anna", "138", "E123"))


def test_a_folder_stands_for_its_files_of_data(tmp_path: Path) -> None:
    """By name; what has another ending is not looked at."""
    _written(tmp_path, "b.csv", "q,a\n")
    _written(tmp_path, "a.jsonl", GOOD)
    _written(tmp_path, "readme.md", "")
    (tmp_path / "report").mkdir()
    assert [file.name for file in input_files([tmp_path])] == ["a.jsonl", "b.csv"]

    with pytest.raises(SetupError, match="has no files of data"):
        input_files([tmp_path / "report"])
    with pytest.raises(SetupError, match="there is no file or folder"):
        input_files([tmp_path / "absent"])
    with pytest.raises(SetupError, match="is named twice"):
        input_files([tmp_path, tmp_path / "b.csv"])


def test_names_in_reports_do_not_say_where_files_lie(tmp_path: Path) -> None:
    """Only what tells them apart."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        _written(tmp_path / folder, "a.jsonl", GOOD)
    files = input_files([tmp_path / "one" / "a.jsonl", tmp_path / "two"])
    assert [file.name for file in files] == ["one/a.jsonl", "two/a.jsonl"]


def test_names_in_reports_can_be_written(tmp_path: Path) -> None:
    """Also of a file whose name is no text."""
    path = tmp_path / os.fsdecode(b"a\xff.jsonl")
    path.write_text(GOOD)
    assert [file.name for file in input_files([path])] == [r"a\xff.jsonl"]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train.jsonl", "train"),
        ("shop-heldout.csv", "test"),
        ("val_dev.json", "dev"),
        ("validation.jsonl", "dev"),
        ("latest.jsonl", None),
    ],
)
def test_a_name_says_its_part(name: str, part: str | None) -> None:
    """In a word of its own."""
    assert InputFile(Path(name), name).part == part

"""Parquet, with and without the library."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pyarrow import Table
from pyarrow.parquet import write_table

from lorabay.data.reading import parquet
from lorabay.data.reading.text_file import TextFile
from lorabay.errors import SetupError


def test_without_the_library_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no part of the forge's extra."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with (
        TextFile(tmp_path / "a.parquet", 10) as file,
        pytest.raises(SetupError, match=r"pip install 'lorabay\[parquet\]'"),
    ):
        list(parquet.read(file))


def test_rows_are_read(tmp_path: Path) -> None:
    """By the names of the columns, in order."""
    rows = [{"q": f"{number}", "a": "x"} for number in range(600)]
    write_table(Table.from_pylist(rows), tmp_path / "a.parquet")
    with TextFile(tmp_path / "a.parquet", 10) as file:
        read = list(parquet.read(file))
    assert [record.fields for record in read] == rows  # type: ignore[union-attr]
    assert read[-1].number == 600

    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with (
        TextFile(tmp_path / "a.parquet", 10) as file,
        pytest.raises(SetupError, match="as Parquet after row 0"),
    ):
        list(parquet.read(file))

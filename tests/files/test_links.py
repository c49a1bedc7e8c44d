"""A file under a second name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorabay.files.links import link_or_copy


def test_a_file_has_a_second_name(tmp_path: Path) -> None:
    """Not a byte is copied."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("weights")
    link_or_copy(source, target)
    assert target.samefile(source)


def test_it_is_copied_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its times, so that nobody takes it for a new one."""

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("weights")
    os.utime(source, (1, 1))
    link_or_copy(source, target)
    assert not target.samefile(source)
    assert (target.read_text(), target.stat().st_mtime) == ("weights", 1)


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    """Of the copy, whose path it names."""
    with pytest.raises(FileNotFoundError, match="source"):
        link_or_copy(tmp_path / "source", tmp_path / "target")

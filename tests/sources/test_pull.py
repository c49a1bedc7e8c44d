"""Bringing a source's adapters into a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.sources.locations import read_location
from lorabay.sources.pull import Pull, Pulled
from tests.sources.made import CONFIG, content_of, no_bar, write


def bar(total: int) -> Callable[[str, int], None]:
    del total
    return no_bar


def pull(source: Path, folder: Path, *, replace: bool = False) -> Pulled:
    return Pull(read_location(str(source)), folder, replace=replace).run(bar)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write(tmp_path / "source" / "finance", "1")
    return tmp_path / "source"


def test_adapters_come_and_are_renewed(source: Path, tmp_path: Path) -> None:
    """What an earlier pull has made is replaced, and nothing hidden is left."""
    folder = tmp_path / "here"
    assert list(pull(source, folder).adapters) == ["finance"]
    write(source / "finance", "2")
    pull(source, folder)
    assert content_of(folder / "finance") == {"2"}
    assert [path.name for path in folder.iterdir()] == ["finance"]


def test_what_somebody_else_made_is_left_alone(source: Path, tmp_path: Path) -> None:
    """Unless it is asked for."""
    folder = tmp_path / "here"
    write(folder / "finance", "mine")
    assert "in the way" in pull(source, folder).refused["finance"]
    assert content_of(folder / "finance") == {"mine"}
    assert pull(source, folder, replace=True).refused == {}
    assert content_of(folder / "finance") == {"1"}


def test_one_that_cannot_come_holds_up_no_other(source: Path, tmp_path: Path) -> None:
    """Its reason is told."""
    (source / "half").mkdir()
    (source / "half" / CONFIG).write_text("{}")
    pulled = pull(source, tmp_path / "here")
    assert list(pulled.adapters) == ["finance"]
    assert "there is no" in pulled.refused["half"]

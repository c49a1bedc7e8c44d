"""A whole preparation of rows in which duplicates, leaks and broken lines were planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.prepare import PrepareWishes, prepare
from tests.data.planted import PARTS, judge, parts_of, plant

ROWS = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder for the tests of this module."""
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    """Returns the folder of the planted rows, prepared into `out` beside it."""
    made = folder / "source"
    made.mkdir()
    plant(made, ROWS)
    prepare([made], folder / "out", PrepareWishes())
    return made


def test_duplicates_are_found_and_nothing_else(source: Path, folder: Path, tmp_path: Path) -> None:
    """As the judge counts them, which uses nothing of the program."""
    verdict = judge(plant(tmp_path, ROWS), folder / "out")
    assert verdict.recall >= 0.95
    assert verdict.precision >= 0.98
    assert (verdict.exact_left, verdict.broken_left, verdict.leaks) == (0, 0, 0)


def test_the_same_input_gives_the_same_bytes(source: Path, folder: Path) -> None:
    """The report included."""
    prepare([source], folder / "twice", PrepareWishes())
    assert parts_of(folder / "twice") == parts_of(folder / "out")


def test_what_came_out_goes_in_again_without_a_change(source: Path, folder: Path) -> None:
    """No row is removed, none is changed, and each is in its part."""
    report = prepare([folder / "out"], folder / "again", PrepareWishes())
    first, again = parts_of(folder / "out"), parts_of(folder / "again")
    assert report.reasons == {}
    assert again["report/changes.jsonl"] == b""
    assert all(first[f"{part}.jsonl"] == again[f"{part}.jsonl"] for part in PARTS)

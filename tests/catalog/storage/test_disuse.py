"""Records that nobody uses, and clocks that are wrong."""

from __future__ import annotations

import tempfile
from datetime import date, timedelta
from pathlib import Path

from hypothesis import given, strategies as st

from lorabay.catalog.storage.disuse import DAYS_KEPT, note_unused, note_used
from tests.failing_disk import files_limited_to

TODAY = date(2026, 11, 28)


def test_days_are_counted_once(tmp_path: Path) -> None:
    """However often a day is seen."""
    days = [TODAY + timedelta(days=number) for number in range(DAYS_KEPT)]
    for number, day in enumerate(days, 1):
        assert [note_unused(tmp_path, day) for _ in range(3)] == [number] * 3


def test_use_starts_the_count_again(tmp_path: Path) -> None:
    """A server that comes back after 29 days has as long again."""
    for number in range(DAYS_KEPT - 1):
        note_unused(tmp_path, TODAY + timedelta(days=number))
    note_used(tmp_path)
    note_used(tmp_path)
    assert note_unused(tmp_path, TODAY + timedelta(days=DAYS_KEPT)) == 1


@given(st.integers(-20_000, 20_000))
def test_a_clock_that_jumps_adds_one_day(jump: int) -> None:
    """By a day or by half a century, ahead or back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = note_unused(folder, TODAY)
        note_unused(folder, TODAY + timedelta(days=jump))
        assert note_unused(folder, TODAY) <= before + 1


def test_a_full_disk_makes_nothing_older(tmp_path: Path) -> None:
    """A day that could not be written is counted again when it is seen again."""
    note_unused(tmp_path, TODAY)
    with files_limited_to(0):
        assert note_unused(tmp_path, TODAY + timedelta(days=1)) == 2
        assert note_unused(tmp_path, TODAY + timedelta(days=2)) == 2
    assert note_unused(tmp_path, TODAY) == 1


def test_a_damaged_count_starts_again(tmp_path: Path) -> None:
    """Bytes that are no text stand for no days."""
    (tmp_path / "unused").write_bytes(b"\xff\xfe")
    assert note_unused(tmp_path, TODAY) == 1

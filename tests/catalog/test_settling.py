"""When a folder that was found counts."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from lorabay.catalog.discovery import Candidate, scan
from lorabay.catalog.settling import Settling
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from tests import making
from tests.catalog.composites import make_composite
from tests.clocks import Clock

FRESH = Candidate("finance", Path("/adapters/finance"), "one")


def remaining(settling: Settling, candidate: Candidate) -> float:
    """Observe a folder, and return the seconds until it counts."""
    settling.observe([candidate])
    return settling.remaining(candidate)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def settling(clock: Clock) -> Settling:
    return Settling(2.0, monotonic=clock)


def test_a_folder_counts_when_it_was_unchanged_long_enough(
    settling: Settling, clock: Clock
) -> None:
    """A slow copy starts the wait anew with every change, and counts once it has been quiet."""
    assert remaining(settling, FRESH) == 2.0
    clock.now += 1.5
    assert remaining(settling, FRESH) == 0.5
    grown = replace(FRESH, fingerprint="two")
    assert remaining(settling, grown) == 2.0
    clock.now += 2
    assert remaining(settling, grown) == 0.0


def test_a_renamed_folder_counts_at_once(settling: Settling) -> None:
    """A folder that was renamed into place is whole."""
    assert remaining(settling, replace(FRESH, in_place=True)) == 0.0


@pytest.mark.parametrize("offset_s", [-3600.0, -5.0, 5.0, 3600.0])
def test_the_clock_of_a_file_server_is_not_asked(
    tmp_path: Path, settling: Settling, clock: Clock, offset_s: float
) -> None:
    """A folder that is being written counts when it has been quiet, whether its files look old or
    come from the future.
    """
    folder = making.make_adapter(tmp_path / "finance")
    written = time.time() + offset_s
    for size in range(3):
        (folder / CONFIG_FILE).write_bytes(b"x" * size)
        for file in folder.iterdir():
            os.utime(file, (written, written))
        assert remaining(settling, scan(tmp_path)["finance"]) == 2.0
        clock.now += 1.5
    assert remaining(settling, scan(tmp_path)["finance"]) == 0.5
    clock.now += 0.5
    assert remaining(settling, scan(tmp_path)["finance"]) == 0.0


def test_asking_for_the_time_changes_nothing(settling: Settling, clock: Clock) -> None:
    """A folder is watched from its first observation, however often somebody asks."""
    settling.observe([FRESH])
    clock.now += 1
    assert settling.remaining(FRESH) == settling.remaining(FRESH) == 1.0


def test_a_folder_that_went_and_came_back_starts_anew(settling: Settling, clock: Clock) -> None:
    """A folder that went away and came back unchanged is watched anew."""
    remaining(settling, FRESH)
    clock.now += 2
    settling.observe([])
    assert remaining(settling, FRESH) == 2.0


@given(st.lists(st.tuples(st.floats(0.01, 1.9), st.booleans()), max_size=30))
def test_a_folder_never_counts_within_the_wait_after_a_change(
    steps: list[tuple[float, bool]],
) -> None:
    """Whatever the rhythm of changes and looks, the last change was seen the settle time ago."""
    clock = Clock(1000.0)
    settling = Settling(2.0, monotonic=clock)
    candidate, changed = FRESH, clock.now
    settling.observe([FRESH])
    for number, (pause, change) in enumerate(steps):
        clock.now += pause
        if change:
            candidate, changed = replace(candidate, fingerprint=str(number)), clock.now
        assert (remaining(settling, candidate) == 0.0) == (clock.now - changed >= 2.0)


def test_a_composite_waits_for_its_members(
    tmp_path: Path, settling: Settling, clock: Clock
) -> None:
    """A composite waits for a member that is still written, also when its own folder was renamed
    into place.
    """
    making.make_adapter(tmp_path / "one")
    make_composite(tmp_path / "fresh", "one")
    (tmp_path / "fresh").rename(tmp_path / "only")
    assert not scan(tmp_path)["only"].in_place
    remaining(settling, scan(tmp_path)["only"])
    clock.now += 1
    (tmp_path / "one" / WEIGHTS_FILE).write_bytes(b"more")
    assert remaining(settling, scan(tmp_path)["only"]) == 2.0
    clock.now += 2
    assert remaining(settling, scan(tmp_path)["only"]) == 0.0


@pytest.mark.parametrize(
    "partial",
    [
        f".{WEIGHTS_FILE}.Xy12Zq",
        f"{WEIGHTS_FILE}.6eF12aB9",
        "weights.incomplete",
        ".cache/huggingface/download/abc.incomplete",
    ],
)
def test_a_file_on_its_way_keeps_a_folder_from_settling(tmp_path: Path, partial: str) -> None:
    """While `rsync` or a hub client writes beside a file for minutes, a new config does not count
    with the old weights.
    """
    folder = making.make_adapter(tmp_path / "finance")
    clock = Clock(1000.0)
    settling = Settling(2.0, monotonic=clock)
    growing = folder / partial
    growing.parent.mkdir(parents=True, exist_ok=True)
    for size in range(5):
        growing.write_bytes(b"x" * size)
        assert remaining(settling, scan(tmp_path)["finance"]) == 2.0
        clock.now += 1.5
    clock.now += 2.0
    assert remaining(settling, scan(tmp_path)["finance"]) == 0.0
    known = {"finance": scan(tmp_path)["finance"].fingerprint}
    assert scan(tmp_path, known=known)["finance"].arriving == ""


def test_other_files_may_change_for_ever(tmp_path: Path) -> None:
    """A training log that grows beside a finished adapter does not keep it from being served."""
    folder = making.make_adapter(tmp_path / "finance")
    clock = Clock(1000.0)
    settling = Settling(2.0, monotonic=clock)
    remaining(settling, scan(tmp_path)["finance"])
    for size in range(3):
        (folder / "trainer.log").write_bytes(b"x" * size)
        clock.now += 1.0
        left = remaining(settling, scan(tmp_path)["finance"])
    assert left == 0.0

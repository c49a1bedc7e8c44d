"""The room on the store's disk: what a scrape sees, also while the disk hangs."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from lorabay.metrics import Metrics
from lorabay.server.store_space import DiskSpace, show_space

PATIENCE_S = 60.0


def test_the_metrics_tell_how_much_room_there_is(tmp_path: Path) -> None:
    """Free and total bytes of the disk, as `df` has them."""
    metrics = Metrics(CollectorRegistry())
    show_space(tmp_path, metrics)
    value = metrics.registry.get_sample_value
    size = value("lorabay_store_size_bytes")
    assert size == shutil.disk_usage(tmp_path).total
    assert 0 < (value("lorabay_store_free_bytes") or 0) <= size


def test_a_disk_that_hangs_keeps_no_scrape_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last figures are shown, and one thread waits for the disk, however many scrapes ask."""
    space, answers, looks = DiskSpace(tmp_path), threading.Event(), threading.Semaphore(0)

    def hang(folder: Path) -> SimpleNamespace:
        looks.release()
        assert answers.wait(PATIENCE_S)
        return SimpleNamespace(free=7, total=9)

    before = space.free()
    assert space._look is not None
    space._look.join(PATIENCE_S)
    monkeypatch.setattr(shutil, "disk_usage", hang)
    shown = {space.free() for _ in range(5)}
    assert looks.acquire(timeout=PATIENCE_S)
    assert not looks.acquire(blocking=False)
    assert len(shown) == 1
    assert before > 0

    answers.set()
    space._look.join(PATIENCE_S)
    assert (space.size(), space.free()) == (9, 7)


def test_a_disk_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last figures stay."""
    space = DiskSpace(tmp_path)
    monkeypatch.setattr(space, "_folder", tmp_path / "gone")
    size = space.size()
    space.free()
    assert space._look is not None
    space._look.join(PATIENCE_S)
    assert space.size() == size

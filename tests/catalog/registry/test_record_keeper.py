"""Records that are written behind the registry's back, whatever the disk does."""

from __future__ import annotations

import errno
import threading
from collections.abc import Mapping
from pathlib import Path

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Change, Record, Records
from lorabay.catalog.registry.record_keeper import RecordKeeper
from lorabay.catalog.versions import Digest

A, B = Digest("a" * 64), Digest("b" * 64)
ADS, BANK = AdapterName("ads"), AdapterName("bank")
WAIT_S = 30.0


class FailingRecords(Records):
    """Refuses the adapters in `refused`, as a disk does that is full or ill."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.refused: set[AdapterName] = set()
        self.has_refused = threading.Event()
        self.may_go_on = threading.Event()

    def update_all(self, changes: Mapping[AdapterName, Change]) -> None:
        if self.refused & changes.keys():
            raise OSError(errno.ENOSPC, "No space left on device")
        super().update_all(changes)

    def pause(self) -> None:
        """Wait, as after a failure, until the test says that the disk is well again."""
        self.has_refused.set()
        self.may_go_on.wait(WAIT_S)


def test_an_update_reaches_the_disk(tmp_path: Path) -> None:
    """`flush` returns when it is there; what is read is what was written."""
    keeper = RecordKeeper(Records(tmp_path))
    assert keeper.flush(0)
    keeper.update(ADS, {"pinned": True})
    keeper.update(ADS, {"kept": (A,)})
    assert keeper.flush(WAIT_S)
    assert keeper.load() == Records(tmp_path).load() == {ADS: Record(kept=(A,), pinned=True)}


def test_what_the_disk_refused_is_written_when_it_is_well_again(tmp_path: Path) -> None:
    """All fields, the newest value of each; what the disk takes of other adapters is not held
    up.
    """
    records = FailingRecords(tmp_path)
    records.refused.add(ADS)
    keeper = RecordKeeper(records, pause=records.pause)
    keeper.update(ADS, {"pinned": True, "kept": (A,)})
    assert records.has_refused.wait(WAIT_S)
    keeper.update(BANK, {"pinned": True})
    keeper.update(ADS, {"kept": (B, A)})
    assert not keeper.flush(0)

    records.refused.clear()
    records.may_go_on.set()
    assert keeper.flush(WAIT_S)
    assert keeper.load() == {ADS: Record(kept=(B, A), pinned=True), BANK: Record(pinned=True)}


def test_one_adapter_that_cannot_be_written_holds_up_no_other(tmp_path: Path) -> None:
    """A file system that refuses one file takes the others."""
    records = FailingRecords(tmp_path)
    records.refused.add(ADS)
    keeper = RecordKeeper(records, pause=records.pause)
    keeper.update(ADS, {"pinned": True})
    keeper.update(BANK, {"pinned": True})
    assert records.has_refused.wait(WAIT_S)
    records.may_go_on.set()
    while Records(tmp_path).load().keys() != {BANK}:
        assert not keeper.flush(0.01)
    records.refused.clear()
    assert keeper.flush(WAIT_S)

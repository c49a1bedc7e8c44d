"""Records are written only by whoever keeps the names."""

from __future__ import annotations

from pathlib import Path

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Records
from lorabay.catalog.registry.followed_records import FollowedRecords


def test_a_server_that_follows_writes_nothing(tmp_path: Path) -> None:
    """It reads what is there, and writes from the moment when it keeps the names."""
    keeps = False
    records = FollowedRecords(Records(tmp_path), lambda: keeps)
    records.update(AdapterName("finance"), {"pinned": True})
    assert records.load() == {}
    keeps = True
    records.update(AdapterName("finance"), {"pinned": True})
    assert records.load()[AdapterName("finance")].pinned
    assert records.unwritten() == {}
    assert records.flush(1.0)

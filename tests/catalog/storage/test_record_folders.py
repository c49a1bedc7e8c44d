"""Records are kept while somebody may use them, and with them the versions that they name."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from lorabay.catalog.names import AdapterName
from lorabay.catalog.storage.disuse import DAYS_KEPT
from lorabay.catalog.storage.record_folders import RecordFolders
from lorabay.catalog.storage.work_folder import WorkFolder
from lorabay.catalog.versions import Digest

FINANCE = AdapterName("finance")
ONE, TWO = Digest("1" * 64), Digest("2" * 64)
TODAY = date(2026, 1, 1)


@pytest.fixture
def folders(tmp_path: Path) -> RecordFolders:
    for name in ("records", "work"):
        (tmp_path / name).mkdir()
    return RecordFolders(tmp_path / "records", WorkFolder(tmp_path / "work", "mine"))


def test_the_versions_of_all_records_are_named(folders: RecordFolders) -> None:
    """Whichever server they belong to."""
    folders.of("mine").update(FINANCE, {"kept": (ONE,)})
    folders.of("other").update(FINANCE, {"kept": (TWO,)})
    assert folders.digests("mine", None) == {ONE, TWO}


def test_what_the_disk_has_not_taken_counts_for_its_own_records_only(
    folders: RecordFolders,
) -> None:
    """An adapter of another server's may have the same name."""
    folders.of("mine").update(FINANCE, {"kept": (ONE,)})
    folders.of("other").update(FINANCE, {"kept": (TWO,)})
    assert folders.digests("mine", {FINANCE: {"kept": ()}}) == {TWO}


def test_unused_records_go_after_so_many_days(folders: RecordFolders, tmp_path: Path) -> None:
    """Those that are in use stay, and a file that is no folder is not ours."""
    for key in ("used", "unused"):
        folders.of(key).update(FINANCE, {"kept": (ONE,)})
    (tmp_path / "records" / ".nfs0001").write_text("")
    for day in range(DAYS_KEPT - 1):
        folders.forget_unused({"used"}, TODAY + timedelta(days=day))
    assert (tmp_path / "records" / "unused").is_dir()

    folders.forget_unused({"used"}, TODAY + timedelta(days=DAYS_KEPT))
    assert {path.name for path in (tmp_path / "records").iterdir()} == {"used", ".nfs0001"}
    assert len(list((tmp_path / "work").iterdir())) == 1

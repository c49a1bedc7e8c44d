"""One folder's way into the store, in the thread that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.catalog.fingerprints import fingerprint, sketch
from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import Version
from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.files.folder_read import FolderRead
from lorabay.reasons import Rejected
from lorabay.reconcile.reads.folder_reading import FolderReading
from tests.serving.bay import Bay

FINANCE = AdapterName("finance")


@pytest.fixture
def reading(bay: Bay) -> FolderReading:
    return FolderReading(bay.store, (bay.folder,))


def read(reading: FolderReading, bay: Bay, path: Path) -> tuple[Version | Rejected, str | None]:
    return reading.read_and_sketch(path, FINANCE, bay.checks, fingerprint(path), FolderRead())


def test_one_read_gives_the_version_and_the_sketch(bay: Bay, reading: FolderReading) -> None:
    """The sketch is that by which a copy of the folder will be recognised."""
    path = bay.make(1)
    assert read(reading, bay, path) == (bay.version("finance", 1), sketch(path))


def test_a_folder_that_changed_while_it_was_read_has_no_sketch(
    bay: Bay, reading: FolderReading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be remembered with it is another folder's."""
    path = bay.make(1)
    really_draw = reading.sketch

    def draw_and_change(*arguments: object) -> str | None:
        drawn = really_draw(*arguments)  # type: ignore[arg-type]
        bay.make(2).joinpath(WEIGHTS_FILE).rename(path / WEIGHTS_FILE)
        return drawn

    monkeypatch.setattr(reading, "sketch", draw_and_change)
    result, drawn = read(reading, bay, path)
    assert isinstance(result, Rejected)
    assert result.codes == {"changed_while_read"}
    assert drawn is None


def test_a_read_that_is_given_up_is_no_fault_of_the_folder(
    bay: Bay, reading: FolderReading
) -> None:
    """It ends at its next step, without a version and without a sketch."""
    stopped = FolderRead()
    stopped.stop()
    path = bay.make(1)
    assert reading.sketch(path, stopped) is None
    result = reading.read(path, FINANCE, bay.checks, None, stopped)
    assert isinstance(result, Rejected)
    assert result.transient


def test_another_folder_may_be_read_while_the_store_waits_for_its_disk(
    bay: Bay, reading: FolderReading
) -> None:
    """The read says that it has finished when nothing of the folder is wanted any more."""
    path = bay.make(1)
    there: list[bool] = []
    noted = FolderRead(lambda: there.append(bool(bay.in_store())))
    assert reading.read(path, FINANCE, bay.checks, None, noted) == bay.version("finance", 1)
    assert there == [False]

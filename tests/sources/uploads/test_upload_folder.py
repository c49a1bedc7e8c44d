"""Where uploads lie: out of sight, and gone when they are over."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from lorabay.errors import AdapterConflict, StorageUnavailable
from lorabay.sources.uploads.upload_folder import OLD_S, UploadFolder
from tests.faulty_disk import FaultyDisk


@pytest.fixture
def folder(tmp_path: Path) -> UploadFolder:
    return UploadFolder(tmp_path)


def test_an_upload_is_hidden_until_it_is_in_place(folder: UploadFolder, tmp_path: Path) -> None:
    """And the adapter appears whole, by one rename."""
    incoming = folder.begin()
    (incoming.adapter / "adapter_config.json").write_text("{}")
    assert [path.name[0] for path in tmp_path.iterdir()] == ["."]
    folder.place(incoming, "finance")
    folder.discard(incoming)
    assert [path.name for path in tmp_path.iterdir()] == ["finance"]
    assert (tmp_path / "finance" / "adapter_config.json").read_text() == "{}"


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_there_is_never_replaced(
    folder: UploadFolder, tmp_path: Path, is_folder: bool
) -> None:
    """Also if it came while the upload was received."""
    incoming = folder.begin()
    if is_folder:
        (tmp_path / "finance").mkdir()
        (tmp_path / "finance" / "kept").touch()
    else:
        (tmp_path / "finance").touch()
    with pytest.raises(AdapterConflict, match="choose another name"):
        folder.place(incoming, "finance")
    assert (tmp_path / "finance").is_dir() is is_folder


def test_a_name_is_taken_in_any_case(folder: UploadFolder, tmp_path: Path) -> None:
    """Two folders that differ in case alone are not both served."""
    (tmp_path / "Finance").mkdir()
    assert folder.is_taken("finance")
    assert not folder.is_taken("fin")


def test_leftovers_of_a_kill_are_removed_once_they_are_old(
    folder: UploadFolder, tmp_path: Path
) -> None:
    """Not those of another server that is receiving right now."""
    old, young = folder.begin(), folder.begin()
    past = time.time() - OLD_S - 60
    os.utime(old.archive.parent, (past, past))
    folder.begin()
    assert not old.adapter.exists()
    assert young.adapter.exists()


def test_room_is_looked_at_first(folder: UploadFolder) -> None:
    """For the archive, and for what it unpacks to."""
    folder.check_room(1)
    with pytest.raises(StorageUnavailable, match="too little room"):
        folder.check_room(1 << 60)


def test_a_disk_that_refuses_the_rename_is_told(
    folder: UploadFolder, disk: FaultyDisk, tmp_path: Path
) -> None:
    """As an error of the disk, and not as a name that is taken."""
    incoming = folder.begin()
    disk.fail(tmp_path, errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        folder.place(incoming, "finance")

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


def served(root: Path) -> Path:
    """Make the folder of an adapter with things of its people beside the weights."""
    folder = root / "finance"
    (folder / "data").mkdir(parents=True)
    for name in ("adapter_config.json", "chat_template.jinja", "lorabay.toml", "data/a.jsonl"):
        (folder / name).write_text("former")
    (folder / "latest").symlink_to("nowhere")
    return folder


def cannot(one: Path, other: Path) -> bool:
    """Stand in for a file system that cannot exchange two folders."""
    return False


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_new_version_takes_the_place_of_a_folder(tmp_path: Path, can_exchange: bool) -> None:
    """The version's own files go; settings, data and links of its people stay."""
    folder = UploadFolder(tmp_path) if can_exchange else UploadFolder(tmp_path, exchange=cannot)
    finance = served(tmp_path)
    incoming = folder.begin()
    (incoming.adapter / "adapter_config.json").write_text("new")
    state = folder.state("finance")
    folder.take_over(incoming, "finance")
    assert (finance / "adapter_config.json").read_text() == "former"
    folder.replace(incoming, "finance", state)
    folder.discard(incoming)
    assert [path.name for path in tmp_path.iterdir()] == ["finance"]
    assert {path.name for path in finance.iterdir()} == {
        "adapter_config.json",
        "data",
        "latest",
        "lorabay.toml",
    }
    assert (finance / "adapter_config.json").read_text() == "new"
    assert (finance / "data" / "a.jsonl").read_text() == "former"


def test_settings_that_are_sent_win(folder: UploadFolder, tmp_path: Path) -> None:
    """Over those that are there."""
    finance = served(tmp_path)
    incoming = folder.begin()
    (incoming.adapter / "lorabay.toml").write_text("new")
    state = folder.state("finance")
    folder.take_over(incoming, "finance")
    folder.replace(incoming, "finance", state)
    assert (finance / "lorabay.toml").read_text() == "new"


def test_a_folder_of_somebody_elses_is_not_replaced(folder: UploadFolder, tmp_path: Path) -> None:
    """One that changed meanwhile, a link, or none at all."""
    finance = served(tmp_path)
    incoming = folder.begin()
    state = folder.state("finance")
    (finance / "adapter_config.json").write_text("theirs")
    with pytest.raises(AdapterConflict, match="changed while"):
        folder.replace(incoming, "finance", state)
    assert (finance / "adapter_config.json").read_text() == "theirs"

    (tmp_path / "linked").symlink_to(finance)
    with pytest.raises(AdapterConflict, match="is a link"):
        folder.state("linked")
    with pytest.raises(AdapterConflict, match="no folder"):
        folder.state("elsewhere")


def test_a_folder_comes_back_if_it_cannot_be_replaced(tmp_path: Path) -> None:
    """Where two folders cannot change places in one step."""

    def loses(one: Path, other: Path) -> bool:
        one.rename(tmp_path / "lost")
        return False

    folder = UploadFolder(tmp_path, exchange=loses)
    finance = served(tmp_path)
    incoming = folder.begin()
    with pytest.raises(OSError, match="No such file"):
        folder.replace(incoming, "finance", folder.state("finance"))
    assert (finance / "adapter_config.json").read_text() == "former"


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


def test_a_former_folder_that_a_kill_has_left_is_kept(folder: UploadFolder) -> None:
    """It may be the only copy."""
    old = folder.begin()
    old.former.mkdir()
    past = time.time() - OLD_S - 60
    os.utime(old.archive.parent, (past, past))
    folder.begin()
    assert old.former.exists()


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

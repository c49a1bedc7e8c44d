"""A mirrored folder is whole or not there, also after a kill."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.sources.mirror_folder import MirrorFolder, Note
from tests.sources.made import CONFIG, WEIGHTS, content_of

NOTE = Note(location="s3://one", files={CONFIG: "1", WEIGHTS: "2"}, at="abc")


@pytest.fixture
def folder(tmp_path: Path) -> MirrorFolder:
    mirror = MirrorFolder(tmp_path / "mirror")
    mirror.open()
    return mirror


def place(folder: MirrorFolder, name: str, content: str) -> None:
    incoming = folder.incoming(name, 10)
    for file in (CONFIG, WEIGHTS):
        (incoming / file).write_text(f"{content} {file}")
    folder.place(incoming, name, NOTE)


def test_a_folder_is_placed_replaced_and_removed(folder: MirrorFolder) -> None:
    """Nothing hidden is left of any of it."""
    place(folder, "finance", "old")
    place(folder, "finance", "new")
    assert content_of(folder.path / "finance") == {"new"}
    assert folder.notes() == {"finance": NOTE}
    folder.remove("finance")
    assert list(folder.path.iterdir()) == []


def test_what_a_kill_has_left_is_mended(folder: MirrorFolder) -> None:
    """Half a download goes; an adapter that was between its two renames comes back."""
    place(folder, "finance", "old")
    (folder.path / "finance").rename(folder.path / ".former.finance")
    (folder.incoming("ads", 1) / CONFIG).write_text("half")
    folder.open()
    assert [path.name for path in folder.path.iterdir()] == ["finance"]
    assert content_of(folder.path / "finance") == {"old"}


def test_a_kill_after_both_renames_keeps_the_new_one(folder: MirrorFolder) -> None:
    """What is left of the former one goes."""
    place(folder, "finance", "new")
    (folder.path / ".former.finance").mkdir()
    folder.open()
    assert content_of(folder.path / "finance") == {"new"}
    assert [path.name for path in folder.path.iterdir()] == ["finance"]


def test_what_no_mirror_made_is_left_alone(folder: MirrorFolder) -> None:
    """It is neither replaced nor removed."""
    own = folder.path / "finance"
    own.mkdir()
    (own / CONFIG).write_text("somebody's")
    folder.remove("finance")
    with pytest.raises(SetupError, match="in the way"):
        place(folder, "finance", "new")
    assert (own / CONFIG).read_text() == "somebody's"


def test_a_disk_without_room_is_a_reason(folder: MirrorFolder) -> None:
    """Nothing is fetched that cannot be kept."""
    with pytest.raises(SetupError, match="bytes beside the store"):
        folder.incoming("finance", 1 << 60)


def test_downloads_under_way_have_their_room(folder: MirrorFolder) -> None:
    """Bug: each of several was promised the same free bytes, and all of them failed half-way."""
    most = shutil.disk_usage(folder.path).free
    first = folder.incoming("finance", most * 3 // 4)
    with pytest.raises(SetupError, match="bytes beside the store"):
        folder.incoming("ads", most * 3 // 4)
    folder.discard(first)
    second = folder.incoming("ads", most * 3 // 4)
    folder.place(second, "ads", NOTE)
    third = folder.incoming("finance", most * 3 // 4)
    folder.arrived(third)
    folder.incoming("ads", most * 3 // 4)


def test_what_is_written_of_a_download_needs_no_more_room(folder: MirrorFolder) -> None:
    """It is not free any more."""
    most = shutil.disk_usage(folder.path).free
    first = folder.incoming("finance", most * 3 // 4)
    with (first / WEIGHTS).open("wb") as file:
        file.truncate(most * 3 // 4)
    folder.incoming("ads", most * 3 // 4)

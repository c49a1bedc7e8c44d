"""The files beside config and weights: read if they are there, within bounds, and never followed
out of the folder.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lorabay.files.adapter_folder import Unreadable
from lorabay.files.folder_read import FolderRead
from lorabay.files.side_files import (
    HEAD_BYTES,
    SETTINGS_FILE,
    SIDE_FILES,
    TEMPLATE_FILE,
    TOKENIZER_FILE,
    copy_side_files,
    read_side_file,
    side_files_in,
)
from tests.faulty_disk import FaultyDisk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "adapters" / "finance"
    folder.mkdir(parents=True)
    return folder


def test_what_is_there_is_copied_and_noted(tmp_path: Path, folder: Path) -> None:
    """Nothing else is, and what is not there is no problem."""
    (folder / SETTINGS_FILE).write_bytes(b"tags = []\r\n")
    (folder / "README.md").write_text("card")
    target, read = tmp_path / "copy", FolderRead()
    target.mkdir()
    assert list(copy_side_files(folder, target, roots=(tmp_path,), read=read)) == []
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        SETTINGS_FILE: b"tags = []\r\n"
    }
    assert [file.st_ino for file in read.files] == [(folder / SETTINGS_FILE).stat().st_ino]


def test_of_a_tokenizer_only_the_head_is_read(folder: Path) -> None:
    """It may have a hundred megabytes; what is looked for comes first."""
    (folder / TOKENIZER_FILE).write_bytes(b"{")
    os.truncate(folder / TOKENIZER_FILE, HEAD_BYTES + 7)
    head = read_side_file(folder, TOKENIZER_FILE)
    assert head is not None
    assert len(head) == HEAD_BYTES


@pytest.mark.parametrize("name", [name for name in SIDE_FILES if name != TOKENIZER_FILE])
def test_a_file_over_its_limit_is_refused(folder: Path, name: str) -> None:
    """With both sizes; one of just the limit is read."""
    (folder / name).write_bytes(b"")
    os.truncate(folder / name, SIDE_FILES[name])
    assert len(read_side_file(folder, name) or b"") == SIDE_FILES[name]
    os.truncate(folder / name, SIDE_FILES[name] + 1)
    with pytest.raises(Unreadable) as problem:
        read_side_file(folder, name)
    assert problem.value.reason.code == "file_too_large"
    assert str(SIDE_FILES[name]) in problem.value.reason.text


def test_what_leads_away_or_is_no_file_is_refused(tmp_path: Path, folder: Path) -> None:
    """A link out of the roots, a FIFO that nobody writes, a folder; each by its name."""
    (tmp_path / "secret").write_text("secret")
    (folder / SETTINGS_FILE).symlink_to(tmp_path / "secret")
    os.mkfifo(folder / TEMPLATE_FILE)
    (folder / TOKENIZER_FILE).mkdir()
    target = tmp_path / "copy"
    target.mkdir()
    problems = list(copy_side_files(folder, target, roots=(folder.parent,)))
    assert [problem.code for problem in problems] == [
        "link_outside",
        "special_file",
        "special_file",
    ]
    assert not list(target.iterdir())


def test_a_link_that_stays_inside_is_followed(tmp_path: Path, folder: Path) -> None:
    """As for config and weights."""
    (folder.parent / "shared.jinja").write_text("{{ messages }}")
    (folder / TEMPLATE_FILE).symlink_to("../shared.jinja")
    assert read_side_file(folder, TEMPLATE_FILE, roots=(folder.parent,)) == b"{{ messages }}"


def test_a_folder_that_is_not_there_has_no_side_files(tmp_path: Path) -> None:
    """That it is gone is told by whoever reads the weights."""
    assert read_side_file(tmp_path / "gone", SETTINGS_FILE) is None
    (tmp_path / "file").write_text("")
    assert read_side_file(tmp_path / "file", SETTINGS_FILE) is None


def test_a_link_to_nowhere_is_refused(folder: Path) -> None:
    """A copy of a hub's snapshot has such links; the adapter's template would silently be lost."""
    (folder / TEMPLATE_FILE).symlink_to("../../blobs/123")
    with pytest.raises(Unreadable) as caught:
        read_side_file(folder, TEMPLATE_FILE)
    assert caught.value.reason.code == "link_broken"
    assert "cp -rL" in caught.value.reason.text


def test_only_what_a_listing_shows_is_asked_for(folder: Path, disk: FaultyDisk) -> None:
    """In the order of the files; where a folder cannot be listed, any of them may be there."""
    assert side_files_in(folder) == ()
    for name in (TEMPLATE_FILE, "README.md", SETTINGS_FILE):
        (folder / name).write_text("")
    assert side_files_in(folder) == (SETTINGS_FILE, TEMPLATE_FILE)
    assert side_files_in(folder / SETTINGS_FILE) == ()
    disk.fail(folder, errno.EACCES)
    assert side_files_in(folder) == tuple(SIDE_FILES)
    disk.mend()
    disk.fail(folder, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        side_files_in(folder)

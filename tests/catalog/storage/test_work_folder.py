"""What is half made stays while somebody makes it, and what is left over goes."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from lorabay.catalog.storage.work_folder import WorkFolder, delete


def test_a_folder_lasts_as_long_as_its_block(tmp_path: Path) -> None:
    """Nobody else can look into it, and it is no trash while this process fills it."""
    work = WorkFolder(tmp_path, "mine")
    with work.temporary() as made:
        assert made.stat().st_mode & 0o077 == 0
        (made / "weights").write_text("half")
        assert work.trash(lambda server: False) == []
    assert not made.exists()


def test_what_this_server_does_not_fill_is_trash(tmp_path: Path) -> None:
    """It was removed, or a disk kept it from being deleted."""
    work = WorkFolder(tmp_path, "mine")
    left = work.new_path()
    left.mkdir()
    assert work.trash(lambda server: True) == [left]


def test_work_of_another_server_is_trash_when_that_is_dead(tmp_path: Path) -> None:
    """The name of a folder tells whose it is."""
    other = WorkFolder(tmp_path, "other").new_path()
    other.mkdir()
    work = WorkFolder(tmp_path, "mine")
    assert work.trash(lambda server: server == "other") == []
    assert work.trash(lambda server: False) == [other]


def test_all_is_deleted_that_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that stays is an error; one that another server has deleted is none."""
    stays, goes = tmp_path / "stays", tmp_path / "goes"
    for folder in (stays, goes):
        folder.mkdir()
    really_delete = shutil.rmtree

    def refuse(path: Path) -> None:
        if path == stays:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really_delete(path)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        delete([stays, tmp_path / "absent", goes])
    assert stays.exists()
    assert not goes.exists()

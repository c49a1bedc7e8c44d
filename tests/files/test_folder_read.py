"""A read of a folder can be stopped, and can be seen to hang."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.files.folder_read import FolderRead, Stopped


def test_a_stopped_read_takes_no_further_step() -> None:
    """The step that is under way ends; the next one does not begin."""
    read = FolderRead()
    read.step()
    with read.waiting():
        read.stop()
    with pytest.raises(Stopped):
        read.step()
    with pytest.raises(Stopped), read.waiting():
        pytest.fail("a step began")


def test_only_a_wait_for_the_file_system_is_a_wait() -> None:
    """Long work between two questions does not look like a disk that hangs."""
    read = FolderRead()
    assert read.waited_s == 0.0
    with read.waiting():
        assert read.waited_s > 0.0
    assert read.waited_s == 0.0


def test_the_files_are_noted_as_they_were(tmp_path: Path) -> None:
    """What was read can be compared with what was found."""
    (tmp_path / "file").touch()
    read = FolderRead()
    read.note((tmp_path / "file").stat())
    assert read.files == ((tmp_path / "file").stat(),)


def test_a_read_rests_before_each_step() -> None:
    """Also where it asks the file system, and not once it is to end."""
    rests: list[str] = []
    read = FolderRead(rest=lambda: rests.append("rest"))
    read.step()
    with read.waiting():
        assert rests == ["rest", "rest"]

    read.stop()
    with pytest.raises(Stopped):
        read.step()
    assert rests == ["rest", "rest"]

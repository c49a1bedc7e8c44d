"""When a followed file counts as changed."""

from __future__ import annotations

from pathlib import Path

from lorabay.files.followed import FollowedFiles


async def test_a_file_is_new_once(tmp_path: Path) -> None:
    """Each change is told once, also that a file has gone or come."""
    file = tmp_path / "file"
    followed = FollowedFiles(file, tmp_path / "other")
    assert not await followed.have_changed()

    for change in (lambda: file.write_text("one"), lambda: file.write_text("more"), file.unlink):
        change()
        assert await followed.have_changed()
        assert not await followed.have_changed()


async def test_one_of_several_is_enough(tmp_path: Path) -> None:
    """A pair has changed if either has."""
    (tmp_path / "one").touch()
    followed = FollowedFiles(tmp_path / "one", tmp_path / "two")
    (tmp_path / "two").touch()
    assert await followed.have_changed()

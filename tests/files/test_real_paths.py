"""Links are followed to their end, and a loop of them is one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.files.real_paths import both_forms, is_written_below, real_path


def test_links_are_followed(tmp_path: Path) -> None:
    """The last parts of the path need not exist."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    assert real_path(tmp_path / "link" / "new" / "..") == tmp_path.resolve() / "folder"


@pytest.mark.parametrize("path", ["loop", "round/a", "loop/file"])
def test_a_loop_is_refused(tmp_path: Path, path: str) -> None:
    """A loop may have several links, and lie at the end of a path or on the way."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "round").mkdir()
    (tmp_path / "round" / "a").symlink_to("b")
    (tmp_path / "round" / "b").symlink_to("a")
    with pytest.raises(
        SetupError, match=rf"{path} cannot be used: it is a link that leads back to itself"
    ):
        real_path(tmp_path / path)


def test_a_path_is_taken_as_written_and_as_it_leads(tmp_path: Path) -> None:
    """A root that is a link is known by both names, each once."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    real = tmp_path.resolve() / "folder"
    assert both_forms([tmp_path / "link", real]) == (tmp_path / "link", real)


@pytest.mark.parametrize(
    ("path", "is_below"),
    [("/a/b", True), ("/a", True), ("/a/../b", False), ("/a/x/../b", True), ("/ab", False)],
)
def test_a_path_is_judged_as_it_is_written(path: str, is_below: bool) -> None:
    """The disk is not asked: none of these exist."""
    assert is_written_below(Path(path), [Path("/a")]) is is_below

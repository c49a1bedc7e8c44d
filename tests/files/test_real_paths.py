"""Links are followed to their end, and a loop of them is one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.files.real_paths import real_path


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

"""Which directory lies at a path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lorabay.catalog.root_identity import identify
from lorabay.errors import SetupError


def test_a_directory_is_the_same_until_another_takes_its_place(tmp_path: Path) -> None:
    """What is in it does not matter; another directory at the path does."""
    root = tmp_path / "adapters"
    root.mkdir()
    before = identify(root)
    (root / "finance").mkdir()
    assert identify(root) == before
    assert not identify(root).replaces(before)

    root.rename(tmp_path / "old")
    root.mkdir()
    assert identify(root).replaces(before)
    assert not identify(root).is_left_by(before)


def test_a_link_that_is_flipped_replaces_nothing(tmp_path: Path) -> None:
    """Whoever flips a link wants what is behind it."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "current"
    link.symlink_to("one")
    before = identify(link)
    link.unlink()
    link.symlink_to("two")
    assert identify(link) != before
    assert not identify(link).replaces(before)


def test_what_a_volume_leaves_lies_on_a_higher_mount(tmp_path: Path) -> None:
    """Also if the volume was mounted above the directory."""
    below = identify(tmp_path)
    volume = replace(below, device=below.device + 1, mount=below.mount + 1, mount_point=tmp_path)
    assert below.is_left_by(volume)
    assert not volume.is_left_by(below)
    assert volume.replaces(below)


def test_a_mount_point_is_known_as_one() -> None:
    """`/proc` is mounted everywhere."""
    assert identify(Path("/proc")).mount_point == Path("/proc")


@pytest.mark.parametrize("kind", ["absent", "loop", "file"])
def test_a_directory_that_cannot_be_looked_at_is_an_error(tmp_path: Path, kind: str) -> None:
    """Nothing may be concluded from it."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot be listed"):
        identify(tmp_path / kind)

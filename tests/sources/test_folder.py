"""A folder as one of several sources."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lorabay.catalog.discovery import stays_inside
from lorabay.sources import folder as folder_module
from lorabay.sources.folder import Folder
from lorabay.sources.interface import Changed, SourceError
from lorabay.sources.pace import Pace
from tests.sources.made import CONFIG, WEIGHTS, content_of, write


async def test_adapters_are_listed_and_copied(tmp_path: Path) -> None:
    """Hidden folders, and links that lead out, are none."""
    root = tmp_path / "adapters"
    write(root / "finance", "1")
    write(root / ".partial", "1")
    (root / "away").symlink_to(write(tmp_path / "elsewhere", "1"))
    source = Folder(root)
    listing = await source.list()
    assert list(listing.offers) == ["finance"]
    into = tmp_path / "into"
    into.mkdir()
    await source.fetch(listing.offers["finance"], into, Pace())
    assert content_of(into) == {"1"}


async def test_a_folder_that_changed_since_the_list(tmp_path: Path) -> None:
    """It is looked at again."""
    write(tmp_path / "finance", "1")
    source = Folder(tmp_path)
    offer = (await source.list()).offers["finance"]
    write(tmp_path / "finance", "2")
    into = tmp_path / ".into"
    into.mkdir()
    with pytest.raises(Changed):
        await source.fetch(offer, into, Pace())


async def test_a_file_that_is_a_link_out_is_not_copied(tmp_path: Path) -> None:
    """The reason is the one that a followed folder has."""
    root = tmp_path / "adapters"
    write(root / "finance", "1")
    (tmp_path / "secret").write_text("secret")
    (root / "finance" / WEIGHTS).unlink()
    (root / "finance" / WEIGHTS).symlink_to(tmp_path / "secret")
    source = Folder(root)
    offer = (await source.list()).offers["finance"]
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(SourceError, match="leaves the adapter directory"):
        await source.fetch(offer, into, Pace())


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is a source that is away: nothing follows from it."""
    with pytest.raises(SourceError, match="cannot be listed"):
        await Folder(tmp_path / "nowhere").list()


async def test_a_half_copied_folder_has_a_reason(tmp_path: Path) -> None:
    """The other file may be on its way."""
    (tmp_path / "finance").mkdir()
    (tmp_path / "finance" / CONFIG).write_text("{}")
    assert (await Folder(tmp_path).list()).refused == {"finance": f"there is no {WEIGHTS}"}


async def test_one_folder_that_cannot_be_read_takes_no_other_along(tmp_path: Path) -> None:
    """Bug: the whole source was away for it."""
    write(tmp_path / "finance", "1")
    (tmp_path / "circle").symlink_to("circle")
    write(tmp_path / "ads", "1")
    (tmp_path / "ads" / "lorabay.toml").symlink_to("lorabay.toml")
    listing = await Folder(tmp_path).list()
    assert list(listing.offers) == ["finance"]
    reason = "it cannot be read: Too many levels of symbolic links"
    assert listing.refused == {"ads": reason, "circle": reason}


async def test_what_vanishes_while_a_folder_is_listed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the whole source was away for it."""
    for name in ("finance", "going"):
        write(tmp_path / name, "1")

    def inside(entry: os.DirEntry[str], allowed: tuple[Path, ...]) -> bool:
        if entry.name == "going":
            shutil.rmtree(entry.path)
        return stays_inside(entry, allowed)

    monkeypatch.setattr(folder_module, "stays_inside", inside)
    listing = await Folder(tmp_path).list()
    assert list(listing.offers) == ["finance"]
    assert listing.refused == {}


async def test_a_link_to_nothing_is_no_file(tmp_path: Path) -> None:
    """The others are an adapter."""
    write(tmp_path / "finance", "1")
    (tmp_path / "finance" / "lorabay.toml").symlink_to("nowhere")
    (offer,) = (await Folder(tmp_path).list()).offers.values()
    assert set(offer.files) == {CONFIG, WEIGHTS}

"""Reading folders that others write to, or made to do harm."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE, Limits, copy_adapter
from tests import making

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    AtOpen = Callable[[Path, Callable[[], object]], None]


@pytest.fixture
def at_open() -> Iterator[AtOpen]:
    """`at_open(path, act)` runs `act` at the moment when the program is about to open `path`."""
    actions: dict[str, Callable[[], object]] = {}

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and (act := actions.pop(str(arguments[0]), None)):
            act()

    sys.addaudithook(hook)  # stays for the life of the process, with nothing to do after this test
    yield lambda path, act: actions.update({str(path): act})
    actions.clear()


def copy(folder: Path, target: Path, *roots: Path) -> frozenset[str]:
    target.mkdir()
    result = copy_adapter(folder, target, roots=(folder, *roots), limits=Limits())
    return result.codes if result else frozenset()


def test_exactly_config_and_weights_are_copied(tmp_path: Path) -> None:
    """Other files of the folder, whatever they are, stay where they are."""
    folder = making.make_adapter(tmp_path / "a")
    (folder / "training_args.bin").write_bytes(b"anything")
    assert not copy(folder, tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()


def test_links_of_a_kubernetes_volume_are_followed(tmp_path: Path) -> None:
    """Files that are links into a dated folder next to them, as a mounted volume has them, are
    read.
    """
    volume = tmp_path / "a"
    making.make_adapter(volume / "..2026_01_01")
    (volume / "..data").symlink_to("..2026_01_01")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        (volume / name).symlink_to(f"..data/{name}")
    assert not copy(volume, tmp_path / "copy")


def test_links_may_lead_into_allowed_roots_only(tmp_path: Path) -> None:
    """The same link is refused or followed depending on the roots that were allowed."""
    elsewhere = making.make_adapter(tmp_path / "elsewhere")
    folder = tmp_path / "a"
    folder.mkdir()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        (folder / name).symlink_to(elsewhere / name)
    assert copy(folder, tmp_path / "copy-1") == {"link_outside"}
    assert not copy(folder, tmp_path / "copy-2", elsewhere)


def test_a_folder_that_vanishes_while_it_is_read_is_a_reason(
    tmp_path: Path, at_open: AtOpen
) -> None:
    """Gone between config and weights: told so, not raised."""
    folder = making.make_adapter(tmp_path / "a")
    at_open(folder / WEIGHTS_FILE, lambda: shutil.rmtree(folder))
    assert copy(folder, tmp_path / "copy") == {"vanished"}


@pytest.mark.parametrize("size", [10, 10_000])
def test_a_file_that_changes_while_it_is_copied_is_not_taken(
    tmp_path: Path, at_open: AtOpen, size: int
) -> None:
    """A writer that cuts or grows the file under the reader never gets a mixture into the copy."""
    folder = making.make_adapter(tmp_path / "a")
    at_open(tmp_path / "copy" / WEIGHTS_FILE, lambda: os.truncate(folder / WEIGHTS_FILE, size))
    assert copy(folder, tmp_path / "copy") == {"changed_while_read"}


def test_a_link_swapped_after_a_look_is_seen(tmp_path: Path, at_open: AtOpen) -> None:
    """What counts is the file that was opened, not what the path said a moment before."""
    folder = making.make_adapter(tmp_path / "a")
    secret = tmp_path / "secret"
    secret.write_text("{}")

    def swap() -> None:
        (folder / CONFIG_FILE).unlink()
        (folder / CONFIG_FILE).symlink_to(secret)

    at_open(folder / CONFIG_FILE, swap)
    assert copy(folder, tmp_path / "copy") == {"link_outside"}

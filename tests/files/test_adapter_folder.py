"""Folders that others write to, or made to do harm, are copied as they were or refused."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lorabay.files.adapter_folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Limits,
    copy_adapter,
    read_config,
)
from lorabay.reasons import Rejected
from tests import making

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """Other files of the folder are not copied."""
    folder = making.make_adapter(tmp_path / "a")
    (folder / "training_args.bin").write_bytes(b"anything")
    assert not copy(folder, tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()


def test_links_of_a_kubernetes_volume_are_followed(tmp_path: Path) -> None:
    """A mounted volume has links into a dated folder beside them; its files are read."""
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
    """The folder is deleted between config and weights, and the copy reports it."""
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
    """The file that was opened is judged, not the path a moment before."""
    folder = making.make_adapter(tmp_path / "a")
    secret = tmp_path / "secret"
    secret.write_text("{}")

    def swap() -> None:
        (folder / CONFIG_FILE).unlink()
        (folder / CONFIG_FILE).symlink_to(secret)

    at_open(folder / CONFIG_FILE, swap)
    assert copy(folder, tmp_path / "copy") == {"link_outside"}


SPOILED: dict[str, Callable[[Path], object]] = {
    "config_missing": lambda folder: (folder / CONFIG_FILE).unlink(),
    "weights_missing": lambda folder: (folder / WEIGHTS_FILE).unlink(),
    "pickle": lambda folder: (folder / WEIGHTS_FILE).rename(folder / "adapter_model.bin"),
    "file_too_large": lambda folder: os.truncate(folder / CONFIG_FILE, (1 << 20) + 1),
    "unreadable": lambda folder: _replace_by(folder, lambda path: path.symlink_to(path.name)),
    "special_file": lambda folder: _replace_by(folder, os.mkfifo),
}


def _replace_by(folder: Path, make: Callable[[Path], object]) -> None:
    (folder / WEIGHTS_FILE).unlink()
    make(folder / WEIGHTS_FILE)


@pytest.mark.parametrize("code", SPOILED)
def test_each_defect_has_its_reason(tmp_path: Path, code: str) -> None:
    """A file that is missing, too large, or not a regular file is refused by its own code."""
    folder = making.make_adapter(tmp_path / "a")
    SPOILED[code](folder)
    assert copy(folder, tmp_path / "copy") == {code}


def test_all_defects_are_reported(tmp_path: Path) -> None:
    """Both files are looked at, also when the first cannot be read."""
    (tmp_path / "a").mkdir()
    assert copy(tmp_path / "a", tmp_path / "copy") == {"config_missing", "weights_missing"}


def test_weights_with_a_broken_header_take_no_space(tmp_path: Path) -> None:
    """Their copy has the header and the size, from which the same defect is seen."""
    folder = making.make_adapter(tmp_path / "a")
    (folder / WEIGHTS_FILE).write_bytes((1 << 40).to_bytes(8, "little") + bytes(1 << 16))
    os.truncate(folder / WEIGHTS_FILE, 1 << 30)
    assert not copy(folder, tmp_path / "copy")
    status = (tmp_path / "copy" / WEIGHTS_FILE).stat()
    assert status.st_size == 1 << 30
    assert status.st_blocks * 512 < 1 << 24


def test_a_disk_without_room_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy and the version that is made from it must both fit."""
    folder = making.make_adapter(tmp_path / "a")
    usage = shutil.disk_usage(tmp_path)
    size = (folder / WEIGHTS_FILE).stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * size - 1))
    assert copy(folder, tmp_path / "copy") == {"store_full"}


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "[]"])
def test_a_config_that_is_not_an_object_is_refused(tmp_path: Path, content: str) -> None:
    """Broken and deeply nested JSON are reasons, too."""
    (tmp_path / CONFIG_FILE).write_text(content)
    result = read_config(tmp_path, Limits())
    assert isinstance(result, Rejected)
    assert result.codes == {"config_not_json"}

"""Folders that others write to, or made to do harm, are copied as they were or refused."""

from __future__ import annotations

import errno
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
from lorabay.files.folder_read import FolderRead, Stopped
from lorabay.reasons import Rejected
from tests import making

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faulty_disk import FaultyDisk

    AtOpen = Callable[[Path | str, Callable[[], object]], None]


@pytest.fixture
def at_open() -> Iterator[AtOpen]:
    """`at_open(path, act)` runs `act` at the moment when the program is about to open `path`; the
    files of a source are opened by their names in a folder that is open already.
    """
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
    at_open(WEIGHTS_FILE, lambda: shutil.rmtree(folder))
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

    at_open(CONFIG_FILE, swap)
    assert copy(folder, tmp_path / "copy") == {"link_outside"}


def test_a_folder_that_leads_out_is_refused(tmp_path: Path) -> None:
    """A link in the folder's place is judged by where it leads, not by where it lies."""
    elsewhere = making.make_adapter(tmp_path / "elsewhere")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").symlink_to(elsewhere)
    (tmp_path / "copy").mkdir()
    result = copy_adapter(root / "a", tmp_path / "copy", roots=(root,), limits=Limits())
    assert result is not None
    assert result.codes == {"link_outside"}
    assert not list((tmp_path / "copy").iterdir())


@pytest.mark.parametrize("flips_back", [True, False])
def test_a_link_that_flips_while_it_is_read_mixes_nothing(
    tmp_path: Path, at_open: AtOpen, flips_back: bool
) -> None:
    """Config and weights come from the one folder that was opened, whatever the link does."""
    for seed, name in enumerate(("one", "two")):
        making.make_adapter(tmp_path / name, tensors=making.lora_tensors(seed=seed))
    link = tmp_path / "link"
    link.symlink_to("one")

    def flip() -> None:
        for target in ("two", "one") if flips_back else ("two",):
            link.unlink()
            link.symlink_to(target)

    at_open(WEIGHTS_FILE, flip)
    (tmp_path / "copy").mkdir()
    assert copy_adapter(link, tmp_path / "copy", roots=(tmp_path,), limits=Limits()) is None
    copied = (tmp_path / "copy" / WEIGHTS_FILE).read_bytes()
    assert copied == (tmp_path / "one" / WEIGHTS_FILE).read_bytes()


def test_a_read_that_nobody_waits_for_ends_in_the_middle(tmp_path: Path, at_open: AtOpen) -> None:
    """A stop takes effect before the next chunk of a large file, not at its end."""
    folder = making.make_adapter(tmp_path / "a")
    os.truncate(folder / CONFIG_FILE, 0)
    (folder / CONFIG_FILE).write_bytes(b"x" * 1000)
    read = FolderRead()
    at_open(WEIGHTS_FILE, read.stop)
    (tmp_path / "copy").mkdir()
    with pytest.raises(Stopped):
        copy_adapter(folder, tmp_path / "copy", roots=(tmp_path,), limits=Limits(), read=read)
    assert not (tmp_path / "copy" / WEIGHTS_FILE).exists()


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_failing_disk_is_no_defect_of_the_folder(
    tmp_path: Path, disk: FaultyDisk, code: int
) -> None:
    """The folder may be read again unchanged: the reason is one that passes."""
    folder = making.make_adapter(tmp_path / "a")
    disk.fail(folder, code)
    (tmp_path / "copy").mkdir()
    result = copy_adapter(folder, tmp_path / "copy", roots=(tmp_path,), limits=Limits())
    assert result is not None
    assert result.codes == {"read_failed"}
    assert result.transient


SPOILED: dict[str, Callable[[Path], object]] = {
    "config_missing": lambda folder: (folder / CONFIG_FILE).unlink(),
    "weights_missing": lambda folder: (folder / WEIGHTS_FILE).unlink(),
    "pickle": lambda folder: (folder / WEIGHTS_FILE).rename(folder / "adapter_model.bin"),
    "file_too_large": lambda folder: os.truncate(folder / CONFIG_FILE, Limits().config_bytes + 1),
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
    assert status.st_blocks * 512 < 1 << 25


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

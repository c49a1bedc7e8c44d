"""Looks at a directory whose file systems may not answer; in real threads."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from lorabay.catalog import discovery
from lorabay.errors import SetupError
from lorabay.reconcile import scanner as scanner_module
from lorabay.reconcile.scanner import HANGING_AT_MOST, ITSELF, Scanner
from tests import making
from tests.faulty_disk import FaultyDisk

PATIENCE_S = 60.0


class Woken:
    """Counts the times that a file system answered again."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def __call__(self) -> None:
        self.event.set()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("finance", "legal", "shop"):
        making.make_adapter(tmp_path / "adapters" / name)
    return tmp_path / "adapters"


def impatient(root: Path, woken: Woken, patience_s: float = 1.0) -> Scanner:
    """Return a scanner that waits longer than a busy machine looks at a folder that is well."""
    return Scanner(root, (), woken, patience_s=patience_s)


async def test_a_look_finds_folders_and_the_directory(root: Path) -> None:
    """What is concluded from missing folders depends on which directory they are missing from."""
    look = await impatient(root, Woken()).look()
    assert set(look.candidates) == {"finance", "legal", "shop"}
    assert look.root.real == root


async def test_a_folder_that_hangs_hides_no_other(root: Path, disk: FaultyDisk) -> None:
    """It stays, as one that cannot be read, and is looked at again when its disk answers."""
    woken = Woken()
    scanner = impatient(root, woken)
    before = await scanner.look()
    disk.hang(root / "legal")
    (root / "shop").rename(root / "bank")

    for _ in range(3):  # the thread that hangs is not joined by others
        look = await scanner.look()
        assert scanner.hanging == {"legal"}
    assert {reason.code for reason in look.candidates["legal"].reasons} == {"unreadable"}
    assert look.candidates["finance"] == before.candidates["finance"]
    assert not look.candidates["bank"].reasons

    disk.mend()
    await asyncio.wait_for(woken.event.wait(), PATIENCE_S)
    assert not scanner.hanging
    assert (await scanner.look()).candidates["legal"] == before.candidates["legal"]


async def test_a_directory_that_hangs_is_no_empty_one(root: Path, disk: FaultyDisk) -> None:
    """Nothing is known of any folder; the next look is refused without a further thread."""
    woken = Woken()
    scanner = impatient(root, woken)
    disk.hang(root)
    for _ in range(3):
        with pytest.raises(SetupError, match="does not answer"):
            await scanner.look()
    assert scanner.hanging == {ITSELF}
    disk.mend()
    await asyncio.wait_for(woken.event.wait(), PATIENCE_S)
    assert set((await scanner.look()).candidates) == {"finance", "legal", "shop"}


async def test_only_so_many_threads_hang(tmp_path: Path, disk: FaultyDisk) -> None:
    """A directory full of links to a file server that is gone does not fill the process."""
    root = tmp_path / "adapters"
    for number in range(HANGING_AT_MOST + 3):
        making.make_adapter(root / f"a{number}")
        disk.hang(root / f"a{number}")
    scanner = impatient(root, Woken(), patience_s=0.1)
    with pytest.raises(SetupError, match="does not answer"):
        await scanner.look()
    assert len(scanner.hanging) == HANGING_AT_MOST + 1


async def test_a_directory_that_is_away_is_an_error(root: Path) -> None:
    """It cannot be looked at, which is not the same as empty."""
    shutil.rmtree(root)
    with pytest.raises(SetupError):
        await impatient(root, Woken()).look()


async def test_half_of_one_directory_and_half_of_another_is_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is replaced in the middle of a look is looked at anew."""

    def scan_and_replace(*arguments: object, **options: object) -> object:
        found = really_scan(*arguments, **options)  # type: ignore[arg-type]
        if not (root.parent / "old").exists():
            root.rename(root.parent / "old")
            making.make_adapter(root / "bank")
        return found

    really_scan = discovery.scan
    monkeypatch.setattr(scanner_module, "scan", scan_and_replace)
    assert set((await impatient(root, Woken()).look()).candidates) == {"bank"}

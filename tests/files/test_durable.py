"""A folder that a tool makes is there as a whole or not at all, and nothing else changes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.files.new_folder import new_folder
from tests.nobody import as_nobody


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("input")
    return tmp_path / "source"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def build(output: Path, source: Path, act: Callable[[Path], object]) -> None:
    """Write one file, then `act`."""
    with new_folder(output, [source]) as folder:
        (folder / "file").write_text("half")
        act(folder)


@pytest.mark.parametrize("place", ["out", "deep/er/out", "größe 出 'x'", "empty", "link"])
def test_it_appears_when_the_block_ends(tmp_path: Path, source: Path, place: str) -> None:
    """By any name, in folders that are made for it, in place of an empty one, or where a link
    leads.
    """
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    with new_folder(tmp_path / place, [source]) as folder:
        (folder / "file").write_text("whole")
        assert not (tmp_path / place / "file").exists()
    assert (tmp_path / place / "file").read_text() == "whole"
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("failure", [SetupError("no"), KeyboardInterrupt(), ZeroDivisionError()])
def test_what_fails_leaves_nothing(tmp_path: Path, source: Path, failure: BaseException) -> None:
    """Whatever comes out of the block comes out."""

    def fail(folder: Path) -> None:
        raise failure

    with pytest.raises(type(failure)):
        build(tmp_path / "out", source, fail)
    assert names(tmp_path) == {"source"}


KILLED = """
import os, signal, sys
from pathlib import Path
from lorabay.offline.new_folder import new_folder
with new_folder(Path(sys.argv[1]), []) as folder:
    (folder / "file").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_leaves_only_what_is_hidden(tmp_path: Path, source: Path) -> None:
    """The next run is not in its way; its name is not the process's number, which is the same again
    in a container.
    """
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "out"]) as killed:
        assert killed.wait() == -signal.SIGKILL
    (left,) = names(tmp_path) - {"source"}
    assert left.startswith(".out.")
    assert str(killed.pid) not in left.split(".")
    build(tmp_path / "out", source, lambda _: None)
    assert names(tmp_path) == {"source", "out", left}


@pytest.mark.parametrize("step", ["in the block", "at the end"])
def test_a_full_disk_is_one_clear_error(
    tmp_path: Path, source: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when only the wait for the disk tells of it."""

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    act = full if step == "in the block" else lambda _: monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SetupError, match="cannot be written: No space left"):
        build(tmp_path / "out", source, act)
    assert names(tmp_path) == {"source"}


REFUSED = {
    "source": "inside",
    "source/out": "inside",
    "link/out": "inside",
    "loop": "leads back to itself",
    "full": "there already",
    "file": "there already",
    "file/out": "cannot be written",
    "n" * 300: "cannot be written: File name too long",
}


@pytest.mark.parametrize("place", REFUSED)
def test_places_that_are_refused(tmp_path: Path, source: Path, place: str) -> None:
    """And nothing is left there."""
    (tmp_path / "link").symlink_to("source")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "one").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SetupError, match=REFUSED[place]):
        build(tmp_path / place, source, pytest.fail)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_parent_that_may_not_be_written_to(tmp_path: Path, source: Path) -> None:
    """Its name and the system's words."""
    source.chmod(0o555)
    with (
        as_nobody(tmp_path),
        pytest.raises(SetupError, match="out cannot be written: Permission denied"),
    ):
        build(source / "out", tmp_path / "none", pytest.fail)
    source.chmod(0o755)
    assert names(source) == {"file"}

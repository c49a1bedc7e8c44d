"""A built folder is there completely or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lorabay.files.built_folder import MARKER, build_once, is_complete

# Builds in two steps; between them it says "half" and waits for a line, so that a test can act at
# that very moment.
BUILDER = """
import sys, pathlib
from lorabay.offline.built_folder import build_once

def build(folder):
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    (folder / "first").write_text("1")
    print("half", flush=True)
    sys.stdin.readline()
    (folder / "second").write_text("2")

print("starting", flush=True)
print(build_once(pathlib.Path(sys.argv[1]), "1", build), flush=True)
"""


def _start(folder: Path, log: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILDER, str(folder), str(log)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert _line(child) == "starting"
    return child


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def _two_files(folder: Path) -> None:
    (folder / "first").write_text("1", encoding="utf-8")
    (folder / "sub").mkdir()
    (folder / "sub" / "second").write_text("2", encoding="utf-8")


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    """The second call gives the same folder without building."""
    built = []

    def build(folder: Path) -> None:
        built.append(folder)
        _two_files(folder)

    for _ in range(2):
        folder = build_once(tmp_path / "new" / "base", "1", build)
    assert len(built) == 1
    assert (folder / "sub" / "second").read_text(encoding="utf-8") == "2"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """When building raises, the error comes out and no folder is left, so the next call builds."""

    def fail(folder: Path) -> None:
        _two_files(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        build_once(tmp_path / "base", "1", fail)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert is_complete(build_once(tmp_path / "base", "1", _two_files), "1")


def test_a_killed_build_is_never_taken_for_complete(tmp_path: Path) -> None:
    """A builder killed half-way leaves nothing under the folder's name, and the next builder leaves
    no trace of it.
    """
    child = _start(tmp_path / "base", tmp_path / "log")
    with child:
        assert _line(child) == "half"
        child.send_signal(signal.SIGKILL)
    assert not (tmp_path / "base").exists()
    folder = build_once(tmp_path / "base", "1", _two_files)
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, "first", "sub"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["base"]


def test_two_starters_build_once(tmp_path: Path) -> None:
    """Of two processes that want the same folder at once one builds it and both get it."""
    first = _start(tmp_path / "base", tmp_path / "log")
    second = _start(tmp_path / "base", tmp_path / "log")
    with first, second:
        answers = [child.communicate("go\n")[0].split()[-1] for child in (first, second)]
    assert answers == [str(tmp_path / "base")] * 2
    assert (tmp_path / "log").read_text(encoding="utf-8") == "built\n"
    assert is_complete(tmp_path / "base", "1")


@pytest.mark.parametrize("damage", ["missing", "short", "marker", "foreign"])
def test_a_damaged_folder_is_built_again(tmp_path: Path, damage: str) -> None:
    """A lost or shortened file, or a marker that makes no sense, is noticed and repaired."""
    folder = build_once(tmp_path / "base", "1", _two_files)
    if damage == "missing":
        (folder / "first").unlink()
    elif damage == "short":
        (folder / "first").write_text("", encoding="utf-8")
    else:
        (folder / MARKER).write_text("{" if damage == "marker" else "[]", encoding="utf-8")
    assert not is_complete(folder, "1")
    build_once(folder, "1", _two_files)
    assert is_complete(folder, "1")
    assert (folder / "first").read_text(encoding="utf-8") == "1"


def test_another_revision_is_built_again(tmp_path: Path) -> None:
    """A folder of an older revision gives way to the new one."""
    build_once(tmp_path / "base", "1", _two_files)
    folder = build_once(tmp_path / "base", "2", lambda folder: (folder / "only").touch())
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, "only"]


def test_every_user_may_read_the_files(tmp_path: Path) -> None:
    """Files that a library wrote for their owner only become readable for a server that runs as
    another user.
    """

    def secretive(folder: Path) -> None:
        (folder / "weights").touch(mode=0o600)

    folder = build_once(tmp_path / "base", "1", secretive)
    assert (folder / "weights").stat().st_mode & 0o777 == 0o644

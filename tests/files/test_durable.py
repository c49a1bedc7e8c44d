"""A write survives a kill: a file or a folder is there as a whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.durable import MARKER, build_once, is_complete, new_folder
from tests.failing_disk import files_limited_to
from tests.nobody import as_nobody


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Waits for the disk and renames, in their order, by the names of files."""
    done: list[str] = []
    sync, replace = durable.sync, Path.replace

    def spy_sync(path: Path) -> None:
        done.append(f"sync {path.name.replace(str(os.getpid()), 'PID')}")
        sync(path)

    def spy_replace(path: Path, target: Path) -> Path:
        done.append(f"rename to {target.name}")
        return replace(path, target)

    monkeypatch.setattr(durable, "sync", spy_sync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    return done


@pytest.mark.parametrize("content", ["größe\n", b"\0\xff"])
def test_a_written_file_replaces_the_old_one(tmp_path: Path, content: str | bytes) -> None:
    """Text is written as UTF-8, bytes as they are, and nothing else stays in the folder."""
    (tmp_path / "file").write_text("old")
    durable.write(tmp_path / "file", content)
    expected = content.encode() if isinstance(content, str) else content
    assert (tmp_path / "file").read_bytes() == expected
    assert names(tmp_path) == {"file"}


def test_a_lasting_write_is_on_disk_before_and_after_its_rename(
    tmp_path: Path, steps: list[str]
) -> None:
    """The bytes are on disk before the name shows them, and the name before the call returns."""
    durable.write(tmp_path / "file", "text")
    assert steps == ["sync .file.PID.partial", "rename to file", f"sync {tmp_path.name}"]


def test_a_write_that_need_not_last_never_waits_for_the_disk(
    tmp_path: Path, steps: list[str]
) -> None:
    """It is renamed all the same, so that a killed process leaves no half of it."""
    durable.write(tmp_path / "file", "text", lasting=False)
    assert steps == ["rename to file"]


@pytest.mark.parametrize("lasting", [True, False])
def test_a_failed_write_changes_nothing(tmp_path: Path, lasting: bool) -> None:
    """An exception in the block comes out, the old content stays, and the hidden file is gone."""
    (tmp_path / "file").write_text("old")

    def fail() -> None:
        with durable.replacing(tmp_path / "file", lasting=lasting) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == {"file"}
    assert (tmp_path / "file").read_text() == "old"


def test_a_killed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A process that dies before the rename leaves the old content and one hidden file."""
    (tmp_path / "file").write_text("old")
    script = (
        "import os, pathlib, signal, sys; from lorabay.files import durable\n"
        "with durable.replacing(pathlib.Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, tmp_path / "file"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"
    (left,) = names(tmp_path) - {"file"}
    assert left.startswith(".file.")


def test_a_folder_is_on_disk_before_its_name(tmp_path: Path, steps: list[str]) -> None:
    """All its files are on disk, also those in folders below it, then the folder, then its name."""
    with durable.building(tmp_path / "made", tmp_path / ".hidden") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").touch()
    *waits, last, name, parent = steps
    assert set(waits) == {"sync sub", "sync file"}
    assert [last, name, parent] == ["sync .hidden", "rename to made", f"sync {tmp_path.name}"]
    assert (tmp_path / "made" / "sub" / "file").exists()
    assert names(tmp_path) == {"made"}


def test_many_files_are_on_disk_before_any_name_shows_them(
    tmp_path: Path, steps: list[str]
) -> None:
    """All contents first, then the names, and the folder once."""
    (tmp_path / "one").write_text("old")
    durable.write_all(tmp_path, {"one": "größe", "two": "2"})
    assert steps == [
        "sync .one.PID.partial",
        "sync .two.PID.partial",
        "rename to one",
        "rename to two",
        f"sync {tmp_path.name}",
    ]
    assert (tmp_path / "one").read_bytes() == "größe".encode()
    assert names(tmp_path) == {"one", "two"}


def test_a_disk_that_refuses_one_of_many_keeps_the_old_ones(tmp_path: Path) -> None:
    """Nothing is half written, and nothing hidden stays."""
    (tmp_path / "one").write_text("old")
    with files_limited_to(3), pytest.raises(OSError, match="File too large"):
        durable.write_all(tmp_path, {"one": "1", "two": "22222"})
    assert (tmp_path / "one").read_text() == "old"
    assert names(tmp_path) == {"one"}


def test_two_folders_change_places(tmp_path: Path) -> None:
    """Also two that are full, and one of them deeper."""
    one, other = tmp_path / "one", tmp_path / "below" / "other"
    for folder in (one, other):
        folder.mkdir(parents=True)
        (folder / folder.name).touch()
    assert durable.exchange(one, other)
    assert [path.name for path in one.iterdir()] == ["other"]
    assert [path.name for path in other.iterdir()] == ["one"]
    with pytest.raises(FileNotFoundError, match="missing"):
        durable.exchange(one, tmp_path / "missing")


def test_a_head_start_is_no_promise(tmp_path: Path) -> None:
    """What cannot be written out will be waited for all the same."""
    durable.write_out(tmp_path)
    durable.write_out(tmp_path / "missing")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("input")
    return tmp_path / "source"


def build(output: Path, source: Path, act: Callable[[Path], object]) -> None:
    """Write one file, then `act`."""
    with new_folder(output, [source]) as folder:
        (folder / "file").write_text("half")
        act(folder)


@pytest.mark.parametrize("place", ["out", "deep/er/out", "größe 出 'x'", "empty", "link"])
def test_it_appears_when_the_block_ends(tmp_path: Path, source: Path, place: str) -> None:
    """Any name will do, in folders that are made for it, over an empty one, or behind a link."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    with new_folder(tmp_path / place, [source]) as folder:
        (folder / "file").write_text("whole")
        assert not (tmp_path / place / "file").exists()
    assert (tmp_path / place / "file").read_text() == "whole"
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("failure", [SetupError("no"), KeyboardInterrupt(), ZeroDivisionError()])
def test_a_failure_leaves_nothing(tmp_path: Path, source: Path, failure: BaseException) -> None:
    """The exception of the block passes through."""

    def fail(folder: Path) -> None:
        raise failure

    with pytest.raises(type(failure)):
        build(tmp_path / "out", source, fail)
    assert names(tmp_path) == {"source"}


KILLED = """
import os, signal, sys
from pathlib import Path
from lorabay.files.durable import new_folder
with new_folder(Path(sys.argv[1]), []) as folder:
    (folder / "file").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_leaves_only_what_is_hidden(tmp_path: Path, source: Path) -> None:
    """The next run is not disturbed: the name is random, as a process's number is the same again
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
    """The error may come from a write, or only from the wait for the disk."""

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
    """The message says why, and nothing is left there."""
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
    """The message has the folder's name and the system's words."""
    source.chmod(0o555)
    with (
        as_nobody(tmp_path),
        pytest.raises(SetupError, match="out cannot be written: Permission denied"),
    ):
        build(source / "out", tmp_path / "none", pytest.fail)
    source.chmod(0o755)
    assert names(source) == {"file"}


# Builds in two steps; between them it says "half" and waits for a line, so that a test can act at
# that very moment.
BUILDER = """
import sys, pathlib
from lorabay.files.durable import build_once

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
    """The second call returns the same folder without building."""
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
    """A killed builder leaves nothing under the folder's name, and the next one cleans up."""
    child = _start(tmp_path / "base", tmp_path / "log")
    with child:
        assert _line(child) == "half"
        child.send_signal(signal.SIGKILL)
    assert not (tmp_path / "base").exists()
    folder = build_once(tmp_path / "base", "1", _two_files)
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, "first", "sub"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["base"]


def test_two_starters_build_once(tmp_path: Path) -> None:
    """Two processes want the same folder at once: one builds it, and both get it."""
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
    """A folder of an older revision is replaced by the new one."""
    build_once(tmp_path / "base", "1", _two_files)
    folder = build_once(tmp_path / "base", "2", lambda folder: (folder / "only").touch())
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, "only"]


def test_every_user_may_read_the_files(tmp_path: Path) -> None:
    """A library may write for the owner only, and the server may run as another user."""

    def secretive(folder: Path) -> None:
        (folder / "weights").touch(mode=0o600)

    folder = build_once(tmp_path / "base", "1", secretive)
    assert (folder / "weights").stat().st_mode & 0o777 == 0o644

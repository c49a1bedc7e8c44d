"""When a followed file counts as changed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from lorabay.files import followed as followed_module
from lorabay.files.followed import FollowedFiles
from tests.faulty_disk import FaultyDisk

PATIENCE_S = 20.0


async def test_a_file_is_new_once(tmp_path: Path) -> None:
    """Each change is told once, also that a file has gone or come."""
    file = tmp_path / "file"
    followed = FollowedFiles(file, tmp_path / "other")
    assert not await followed.have_changed()

    for change in (lambda: file.write_text("one"), lambda: file.write_text("more"), file.unlink):
        change()
        assert await followed.have_changed()
        assert not await followed.have_changed()


async def test_one_of_several_is_enough(tmp_path: Path) -> None:
    """A pair has changed if either has."""
    (tmp_path / "one").touch()
    followed = FollowedFiles(tmp_path / "one", tmp_path / "two")
    (tmp_path / "two").touch()
    assert await followed.have_changed()


async def test_a_disk_that_hangs_costs_one_thread(
    tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it hangs; when it answers again, the change is seen."""
    monkeypatch.setattr(followed_module, "POLL_S", 0.001)
    (tmp_path / "keys").touch()
    followed = FollowedFiles(tmp_path / "keys")
    taken_up = asyncio.Event()

    async def take_up() -> None:
        taken_up.set()

    disk.hang(tmp_path)
    following = asyncio.create_task(followed.follow(take_up))
    assert await asyncio.to_thread(disk.hit.wait, PATIENCE_S)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert followed._threads.busy == 1

    (tmp_path / "keys").write_text("new")
    disk.mend()
    await asyncio.wait_for(taken_up.wait(), PATIENCE_S)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def test_a_process_ends_while_a_followed_file_hangs(tmp_path: Path) -> None:
    """Whoever follows it has been cancelled; nobody waits for the look that does not come back."""
    program = f"""
import asyncio, os, pathlib, threading
from lorabay.files.followed import FollowedFiles

followed = FollowedFiles(pathlib.Path({str(tmp_path / "keys")!r}))
begun = threading.Event()

def hang(*_, **__):
    begun.set()
    threading.Event().wait()

async def main():
    os.stat = hang
    look = asyncio.create_task(followed.have_changed())
    while not begun.is_set():
        await asyncio.sleep(0.01)
    look.cancel()

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

"""What this process uses, told by Linux."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lorabay.bench.resources import MIB, ProcessUse, held_by_group, largest_of_group, read_process
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def test_a_file_that_is_read_is_counted(tmp_path: Path) -> None:
    """Every byte that the process asks of files counts, also one that the system had in memory."""
    (tmp_path / "weights").write_bytes(bytes(3 * MIB))
    before = read_process(os.getpid())
    for _ in range(2):
        (tmp_path / "weights").read_bytes()
    assert 6 <= read_process(os.getpid()).beyond(before).read_mib < 6.5


def test_work_and_memory_are_counted() -> None:
    """Processor time is that of this process; memory that it holds is resident."""
    before = read_process(os.getpid())
    held = mmap.mmap(-1, 64 * MIB)
    held.write(os.urandom(64 * MIB))
    begun = time.process_time()
    while time.process_time() - begun < 0.1:
        pass
    more = read_process(os.getpid()).beyond(before)
    assert more.cpu_s >= 0.08
    assert more.resident_mib > 32
    held.close()


def test_the_difference_is_field_by_field() -> None:
    """More of each than the other."""
    assert ProcessUse(5.0, 300, 30).beyond(ProcessUse(2.0, 100, 40)) == ProcessUse(3.0, 200, -10)


def test_a_process_that_is_gone_is_one_clear_line() -> None:
    """A server that ended while it was observed is named by its process."""
    with pytest.raises(SetupError, match="/proc/0 does not tell"):
        read_process(0)


@pytest.fixture
def holder() -> Iterator[int]:
    """A process that leads a group of its own and holds 64 MiB."""
    code = "import sys; held = bytearray(64 << 20); sys.stdout.write('up\\n'); sys.stdout.flush(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        yield child.pid
        child.stdin.close()


@pytest.mark.parametrize("count", [largest_of_group, held_by_group])
def test_memory_of_a_group_is_found(count: Callable[[int], int], holder: int) -> None:
    """What the child holds beside the interpreter; a group that nobody is in holds nothing."""
    assert 64 << 20 <= count(holder) < 256 << 20
    assert count(2**22 + 1) == 0

"""Processor time, reads and memory of processes, of this one and of children."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lorabay.bench import resources
from lorabay.bench.resources import (
    MIB,
    CpuTime,
    ProcessUse,
    held_by_group,
    largest_of_group,
    read_cpu_time,
    read_process,
    wait_idle,
)
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOBODY = -1
TICK = 1 / os.sysconf("SC_CLK_TCK")

# Two processes of one group, each working until it has used 0.1 s of its own processor time.
WORK = """
import os, sys, time
inside, outside = os.pipe()
child = os.fork()
while time.process_time() < 0.1:
    pass
if child:
    os.read(inside, 1)
    print("worked", flush=True)
else:
    os.write(outside, b".")
sys.stdin.read()
"""


@pytest.fixture
def worked() -> Iterator[int]:
    """A group that has used 0.2 s and now waits."""
    with subprocess.Popen(
        [sys.executable, "-c", WORK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as group:
        assert group.stdout is not None
        assert group.stdout.readline() == "worked\n"
        yield group.pid
        group.communicate("")


def test_all_processes_of_a_group_count(worked: int) -> None:
    """A parent and its worker that used 0.1 s each make 0.2 s, ticks aside, on the side that the
    group is on.
    """
    as_working, as_waiting = read_cpu_time(worked, []), read_cpu_time(NOBODY, [worked])
    assert as_working.working >= 0.2 - 4 * TICK
    assert as_waiting.waiting >= as_working.working
    assert as_working.waiting == as_waiting.working == 0


def test_what_happened_before_the_first_reading_does_not_count(worked: int) -> None:
    """A group that waits between two readings used nothing between them, and the client's own work
    is the client's.
    """
    before = read_cpu_time(NOBODY, [worked])
    stop = time.process_time() + 0.1
    while time.process_time() < stop:
        pass
    after = read_cpu_time(NOBODY, [worked])
    used = after.since(before)

    assert used.waiting <= 2 * TICK
    assert used.client >= 0.1
    assert used.machine >= 0.1 - 4 * TICK


def test_the_rest_of_the_machine_is_foreign() -> None:
    """Foreign time is used by neither side nor the client; rounding never makes it negative."""
    assert CpuTime(working=2.0, waiting=0.5, client=0.25, machine=4.0).foreign == 1.25
    assert CpuTime(working=2.0, waiting=0.0, client=0.01, machine=2.0).foreign == 0


def test_an_ended_group_used_nothing() -> None:
    """A group without processes has no processor time; asking for it is not an error."""
    ended = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    ended.wait()
    reading = read_cpu_time(ended.pid, [])
    assert reading.working == 0


def test_a_group_that_waits_is_idle(worked: int) -> None:
    """The wait ends as soon as a group uses no more processor time."""
    assert wait_idle([worked])


def test_a_group_that_computes_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for a group that goes on ends with the timeout, as False."""
    # On a busy machine it may not have its turn for a while.
    monkeypatch.setattr(resources, "IDLE_S", 0.5)
    with subprocess.Popen(
        [sys.executable, "-c", "while True: pass"], start_new_session=True
    ) as busy:
        try:
            assert not wait_idle([NOBODY, busy.pid], timeout_s=0.5)
        finally:
            busy.kill()


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
    code = "import sys; held = bytearray(64 << 20); print('up', flush=True); sys.stdin.read()"
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
def test_memory_of_a_group_is_counted(count: Callable[[int], int], holder: int) -> None:
    """A group holds at least what its process allocated; an empty group holds nothing."""
    assert 64 << 20 <= count(holder) < 256 << 20
    assert count(2**22 + 1) == 0

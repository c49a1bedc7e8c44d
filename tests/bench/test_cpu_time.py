"""Processor time of a group."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lorabay.bench.cpu_time import PROC, CpuTime, read_cpu_time, wait_idle

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = -1
TICK = 1 / os.sysconf("SC_CLK_TCK")
pytestmark = pytest.mark.skipif(not (PROC / "self" / "stat").exists(), reason="needs Linux's /proc")

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
    assert as_working is not None
    assert as_waiting is not None
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
    assert before is not None
    assert after is not None
    used = after.since(before)
    assert used.waiting <= 2 * TICK
    assert used.client >= 0.1
    assert used.machine >= 0.1 - 4 * TICK


def test_the_rest_of_the_machine_is_foreign() -> None:
    """What neither side nor the client used; rounding never makes it negative."""
    assert CpuTime(working=2.0, waiting=0.5, client=0.25, machine=4.0).foreign == 1.25
    assert CpuTime(working=2.0, waiting=0.0, client=0.01, machine=2.0).foreign == 0


def test_an_ended_group_used_nothing() -> None:
    """Asking for a group without processes is no error."""
    ended = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    ended.wait()
    reading = read_cpu_time(ended.pid, [])
    assert reading is not None
    assert reading.working == 0


def test_a_group_that_waits_is_idle(worked: int) -> None:
    """Its turn is over, the next one's may begin."""
    assert wait_idle([worked])


def test_a_group_that_computes_is_not() -> None:
    """Nobody waits for it for ever."""
    with subprocess.Popen(
        [sys.executable, "-c", "while True: pass"], start_new_session=True
    ) as busy:
        try:
            assert not wait_idle([NOBODY, busy.pid], timeout_s=0.5)
        finally:
            busy.kill()

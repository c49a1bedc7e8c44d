"""Processor time, reads and memory of processes, as the system counts them.

Asks psutil and changes nothing. Times and reads are counters: only the difference of two readings
means something. Memory is what a process holds now. Knows neither servers nor sides.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import psutil

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
MIB = 1 << 20
IDLE_S = 0.2
IDLE_TIMEOUT_S = 5.0
NOT_WORK = frozenset({"idle", "iowait", "guest", "guest_nice"})
"""Processor times of a machine in which no process works; guests' are part of `user` and `nice`."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds of processor time during a turn: of the group at work, of the groups that wait, of
    this client, and of the whole machine.
    """

    working: float
    waiting: float
    client: float
    machine: float

    @property
    def foreign(self) -> float:
        """Seconds of processes that have no part in the measurement, never below 0: the system
        rounds each counter on its own.
        """
        return max(0.0, self.machine - self.working - self.waiting - self.client)

    def since(self, before: CpuTime) -> CpuTime:
        """Return the seconds between an earlier reading and this one."""
        return CpuTime(
            self.working - before.working,
            self.waiting - before.waiting,
            self.client - before.client,
            self.machine - before.machine,
        )


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One process without its children: seconds of processor time, bytes that it asked of files
    (those from the page cache too), and bytes of resident memory.
    """

    cpu_s: float
    read_bytes: int
    resident_bytes: int

    @property
    def read_mib(self) -> float:
        return self.read_bytes / MIB

    @property
    def resident_mib(self) -> float:
        return self.resident_bytes / MIB

    def beyond(self, other: ProcessUse) -> ProcessUse:
        """Return how much more this is than `other`."""
        return ProcessUse(
            self.cpu_s - other.cpu_s,
            self.read_bytes - other.read_bytes,
            self.resident_bytes - other.resident_bytes,
        )


def read_cpu_time(working: int, waiting: Sequence[int]) -> CpuTime:
    """Return the counters of a process group, of groups that wait, and of the machine."""
    return CpuTime(
        working=_cpu_s([working]),
        waiting=_cpu_s(waiting),
        client=time.process_time(),
        machine=_machine_cpu_s(),
    )


def wait_idle(groups: Sequence[int], timeout_s: float = IDLE_TIMEOUT_S) -> bool:
    """Wait until these process groups together use at most one clock tick in IDLE_S seconds.

    Returns False after the timeout. The processes of a vLLM server poll one another for a second
    after their last step. That time would be taken from the side that is measured next.
    """
    # Half a tick more: the counters are whole ticks, their sums are rounded.
    limit_s = 1.5 / os.sysconf("SC_CLK_TCK")
    deadline = time.monotonic() + timeout_s
    used = _cpu_s(groups)

    while time.monotonic() < deadline:
        time.sleep(IDLE_S)
        before, used = used, _cpu_s(groups)
        if used - before <= limit_s:
            return True

    return False


def read_process(pid: int) -> ProcessUse:
    """Return the counters of one process; raises SetupError if it is gone or is not counted."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        read_bytes = process.io_counters().read_chars
        resident_bytes = process.memory_info().rss
    except (psutil.Error, AttributeError) as error:  # macOS counts no reads
        raise SetupError(f"bench: /proc/{pid} does not tell what the server uses") from error

    return ProcessUse(times.user + times.system, read_bytes, resident_bytes)


def largest_of_group(group: int) -> int:
    """Return the anonymous memory, in bytes, of the process of a group that holds most of it."""
    return max(_of_members(group, _anonymous_bytes), default=0)


def held_by_group(group: int) -> int:
    """Return the memory of all processes of a group, in bytes.

    A page that several processes share counts for each of them in part, for all of them once.
    """
    return sum(_of_members(group, _proportional_bytes))


def _cpu_s(groups: Sequence[int]) -> float:
    return sum(sum(_of_members(group, _process_cpu_s)) for group in groups)


def _machine_cpu_s() -> float:
    times = psutil.cpu_times()._asdict()
    return float(sum(seconds for kind, seconds in times.items() if kind not in NOT_WORK))


def _process_cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _anonymous_bytes(process: psutil.Process) -> int:
    # What Linux calls shared is every page of a file or of shared memory.
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def _proportional_bytes(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def _of_members(group: int, read: Callable[[psutil.Process], T]) -> list[T]:
    """Return `read` of each process of a group, without those that end meanwhile."""
    values: list[T] = []
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == group:
                values.append(read(psutil.Process(pid)))
        except (ProcessLookupError, PermissionError, psutil.Error):
            # It ended between two questions, or belongs to someone else.
            continue
    return values

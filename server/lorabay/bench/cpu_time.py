"""Who used the processor, as Linux counts it: the side at work, the sides that wait, and everything
else.

Reads /proc; changes nothing. Also waits until a side is at rest. Where there is no /proc, nothing
is known and nothing is guessed.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PROC = Path("/proc")
IDLE_S = 0.2
IDLE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds of processor time: of the process group at work, of the groups that wait, of this
    client, of all.
    """

    working: float
    waiting: float
    client: float
    machine: float

    @property
    def foreign(self) -> float:
        """Of processes that have no part in the measurement; ticks are rounded, so never below
        0.
        """
        return max(0.0, self.machine - self.working - self.waiting - self.client)

    def since(self, before: CpuTime) -> CpuTime:
        return CpuTime(
            self.working - before.working,
            self.waiting - before.waiting,
            self.client - before.client,
            self.machine - before.machine,
        )


def read_cpu_time(working: int, waiting: Sequence[int]) -> CpuTime | None:
    """Counters of now; only the difference of two readings means something. None where /proc does
    not tell.
    """
    if not (PROC / "stat").exists():
        return None
    tick = _tick_s()
    groups = _ticks_of_groups()
    return CpuTime(
        working=groups.get(working, 0) * tick,
        waiting=sum(groups.get(group, 0) for group in waiting) * tick,
        client=time.process_time(),
        machine=_ticks_of_machine() * tick,
    )


def wait_idle(groups: Sequence[int], timeout_s: float = IDLE_TIMEOUT_S) -> bool:
    """Return True once all these process groups together have used no more than a tick for IDLE_S
    seconds; False after the timeout, or where /proc does not tell.

    The processes of a vLLM server poll one another for a second after their last step, on the
    processors that the side whose turn it is would compute with.
    """
    if not (PROC / "stat").exists():
        return False
    deadline = time.monotonic() + timeout_s
    used = _ticks_of(groups)
    while time.monotonic() < deadline:
        time.sleep(IDLE_S)
        before, used = used, _ticks_of(groups)
        if used - before <= 1:
            return True
    return False


def _ticks_of(groups: Sequence[int]) -> int:
    ticks = _ticks_of_groups()
    return sum(ticks.get(group, 0) for group in groups)


def _tick_s() -> float:
    return 1 / os.sysconf("SC_CLK_TCK")


def _ticks_of_groups() -> dict[int, int]:
    ticks: dict[int, int] = {}
    for process in PROC.iterdir():
        if not process.name.isdigit():
            continue
        try:
            # The name before the last ")" may hold spaces. After it: state, parent, group, ...,
            # utime (11), stime (12).
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        group = int(fields[2])
        ticks[group] = ticks.get(group, 0) + int(fields[11]) + int(fields[12])
    return ticks


def _ticks_of_machine() -> int:
    """All but idle (4th) and waiting for disks (5th); guest times are already in the first two."""
    counters = [
        int(counter) for counter in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    ]
    return sum(counters) - counters[3] - counters[4]

"""What one process has used so far, as Linux counts it; its children, such as the engine, are not
counted.

Reads /proc; changes nothing. Only the difference of two readings means something, except for
memory.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """Seconds of processor time, bytes asked of files, from the page cache too, and bytes of memory
    held.
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
        """How much more this is than `other`."""
        return ProcessUse(
            self.cpu_s - other.cpu_s,
            self.read_bytes - other.read_bytes,
            self.resident_bytes - other.resident_bytes,
        )


def read_process(process: int) -> ProcessUse:
    """Counters of now; SetupError where there is no such process, or no /proc."""
    folder = PROC / str(process)
    try:
        # The name before the last ")" may hold spaces. After it: state, parent, ..., utime (11),
        # stime (12).
        times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        read = _labelled(folder / "io", "rchar")
        resident = _labelled(folder / "status", "VmRSS")
    except (OSError, LookupError) as error:
        raise SetupError(f"bench: {folder} does not tell what the server uses") from error
    return ProcessUse(sum(map(int, times)) / os.sysconf("SC_CLK_TCK"), read, resident * 1024)


def _labelled(file: Path, label: str) -> int:
    fields = dict(line.split(":", 1) for line in file.read_text().splitlines())
    return int(fields[label].split()[0])


def largest_of_group(group: int) -> int:
    """Bytes of anonymous memory of the process of a group that holds most of it."""
    return max(map(_anonymous, _members(group)), default=0)


def held_by_group(group: int) -> int:
    """Bytes of memory of all processes of a group; what several share is counted once, in parts."""
    return sum(map(_proportional, _members(group)))


def _members(group: int) -> Iterator[Path]:
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):  # a process that ended meanwhile
            # After the name: state, parent, process group.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                yield folder


def _anonymous(folder: Path) -> int:
    try:
        return _labelled(folder / "status", "RssAnon") * 1024
    except (OSError, LookupError):
        return 0


def _proportional(folder: Path) -> int:
    try:
        return _labelled(folder / "smaps_rollup", "Pss") * 1024
    except (OSError, LookupError, ValueError):
        return 0

"""The memory that this process may use: the machine's, or what a container leaves of it.

In all, and what of it is free now: what the system keeps of files counts as free. A limit of any
control group above this process counts, of version 1 and 2 alike; beyond it the kernel kills. Knows
nothing of what the memory is for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a control group: its limits, what it uses, and what of that is files' content.

    Over `memory.high` a process is slowed down without end.
    """

    limits: tuple[str, ...]
    used: str
    of_files: tuple[str, ...]


_VERSION_1 = _Files(
    ("memory.limit_in_bytes",),
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)
_VERSION_2 = _Files(
    ("memory.max", "memory.high"), "memory.current", ("inactive_file", "active_file")
)


def host_memory_bytes(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process may use; `root` holds /proc and /sys."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_group_limits(root)])


def free_memory_bytes(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process may take now; `root` holds /proc and /sys."""
    available = _fields(root / "proc/meminfo").get("MemAvailable")
    free = host_memory_bytes(root) if available is None else 1024 * available
    return max(0, min([free, *_free_in_groups(root)]))


def _group_limits(root: Path) -> Iterator[int]:
    """Yield the limits of the control groups of this process and of all groups around them."""
    for folder, files in _groups(root):
        yield from _limits(folder, files)


def _free_in_groups(root: Path) -> Iterator[int]:
    """Yield what each of these groups has left of its limits."""
    for folder, files in _groups(root):
        used = _text(folder / files.used).strip()
        if not used.isdecimal():
            continue
        kept = _fields(folder / "memory.stat")
        of_files = sum(kept.get(name, 0) for name in files.of_files)
        for limit in _limits(folder, files):
            yield limit - int(used) + of_files


def _groups(root: Path) -> Iterator[tuple[Path, _Files]]:
    """Yield the folders of the control groups of this process, and of all groups around them."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")

        if not controllers:
            mount, files = root / "sys/fs/cgroup", _VERSION_2
        elif "memory" in controllers.split(","):
            mount, files = root / "sys/fs/cgroup/memory", _VERSION_1
        else:
            continue

        # A container often sees its own group at the mount, and a path that only its host has: what
        # does not exist says nothing.
        group = PurePosixPath(*(part for part in path.split("/") if part not in ("", "..")))
        for place in (group, *group.parents):
            yield mount / place, files


def _limits(folder: Path, files: _Files) -> Iterator[int]:
    for file in files.limits:
        text = _text(folder / file).strip()
        if text.isdecimal():  # or `max`, for none
            yield int(text)


def _fields(file: Path) -> dict[str, int]:
    """Return the numbers in a file that has a name and a number in each line."""
    fields: dict[str, int] = {}
    for line in _text(file).splitlines():
        name, _, rest = line.replace(":", " ").partition(" ")
        number = rest.split()[:1]
        if number and number[0].isdecimal():
            fields[name] = int(number[0])
    return fields


def _text(path: Path) -> str:
    """Return the text of a file, none if it cannot be read."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii")
    return ""

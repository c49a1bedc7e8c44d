"""The memory that this process may use: the machine's, or what a container leaves of it.

A limit of any control group above this process counts, of version 1 and 2 alike; beyond it the
kernel kills. Knows nothing of what the memory is for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_VERSION_1: tuple[str, ...] = ("memory.limit_in_bytes",)
_VERSION_2: tuple[str, ...] = ("memory.max", "memory.high")
"""Files with limits in bytes. Over `memory.high` a process is slowed down without end."""


def host_memory_bytes(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process may use; `root` holds /proc and /sys."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_group_limits(root)])


def _group_limits(root: Path) -> Iterator[int]:
    """Yield the limits of the control groups of this process and of all groups around them."""
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
            yield from _limits(mount / place, files)


def _limits(folder: Path, files: tuple[str, ...]) -> Iterator[int]:
    for file in files:
        text = _text(folder / file).strip()
        if text.isdecimal():  # or `max`, for none
            yield int(text)


def _text(path: Path) -> str:
    """Return the text of a file, none if it cannot be read."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii")
    return ""

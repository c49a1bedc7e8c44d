"""What is known of a process that may end at any moment, also between two questions."""

from __future__ import annotations

import psutil

ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def lives(pid: int) -> bool:
    """Return whether there is a process of this number that has not ended.

    One that has ended stays in the table until its parent takes notice.
    """
    try:
        return psutil.Process(pid).status() not in ENDED
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> list[psutil.Process]:
    """Return the processes that a process has started, and those that they have, as far as they
    live.
    """
    found = psutil.Process(pid).children(recursive=True)
    return [process for process in found if lives(process.pid)]


def resident_bytes(process: psutil.Process) -> int:
    """Return the memory that a process holds; 0 if it has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0

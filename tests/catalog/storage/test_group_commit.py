"""Commits of threads that wait at the same time."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from lorabay.catalog.storage.group_commit import GroupCommit

WAIT_S = 60.0


class Disk:
    """Takes groups of numbers; refuses odd ones, and holds up the first group until it may go."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.is_busy = threading.Event()
        self.may_go = threading.Event()

    def take(self, group: Sequence[int]) -> list[Exception | None]:
        self.groups.append(list(group))
        self.is_busy.set()
        assert self.may_go.wait(WAIT_S)
        return [OSError(errno.EIO, str(number)) if number % 2 else None for number in group]


def outcome(commits: GroupCommit[int], number: int) -> str | None:
    try:
        commits.commit(number)
    except OSError as error:
        return error.strerror
    return None


def wait_for(commits: GroupCommit[int], count: int) -> None:
    """Return when so many commits wait."""
    while len(commits._waiting) < count:
        threading.Event().wait(0.001)


def test_those_that_wait_are_made_together_and_each_hears_of_its_own() -> None:
    """The first is made alone, and all that came meanwhile in one go; a failure is one item's."""
    disk = Disk()
    commits = GroupCommit(disk.take)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(outcome, commits, 0)
        assert disk.is_busy.wait(WAIT_S)
        others = [pool.submit(outcome, commits, number) for number in range(1, 8)]
        wait_for(commits, 7)
        disk.may_go.set()
        assert first.result(WAIT_S) is None
        results = [other.result(WAIT_S) for other in others]
    assert results == ["1", None, "3", None, "5", None, "7"]
    assert [sorted(group) for group in disk.groups] == [[0], list(range(1, 8))]


def test_what_fails_for_a_whole_group_fails_for_each_of_it() -> None:
    """And the next group is tried all the same."""

    def refuse(group: Sequence[int]) -> list[Exception | None]:
        raise OSError(errno.ENOSPC, "full")

    commits = GroupCommit(refuse)
    for number in range(2):
        with pytest.raises(OSError, match="full"):
            commits.commit(number)

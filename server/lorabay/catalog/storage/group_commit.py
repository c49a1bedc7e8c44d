"""Commits that wait at the same time, made together: one thread makes those of all who wait.

A disk takes about as long for many as for one. Whoever comes first makes its own alone; those that
come meanwhile are made together when it has ended. Knows nothing of what is committed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

Problems = Sequence[Exception | None]
"""What went wrong with each item of a group."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item]):
    """One item, and what became of it."""

    item: Item
    is_done: bool = False
    problem: Exception | None = None


class GroupCommit(Generic[Item]):
    """Commits of one kind; `commit_all` makes those of a group, one group at a time.

    What it raises is the problem of every item of the group.
    """

    def __init__(self, commit_all: Callable[[Sequence[Item]], Problems]) -> None:
        self._commit_all = commit_all
        self._waiting: list[_Waiting[Item]] = []
        self._arrivals = threading.Lock()
        self._turn = threading.Lock()

    def commit(self, item: Item) -> None:
        """Return when the item is committed, by this thread or by another; raises its problem."""
        own = _Waiting(item)
        with self._arrivals:
            self._waiting.append(own)

        with self._turn:
            # Whoever had the turn before may have made this one, too.
            if not own.is_done:
                self._make_all()
        if own.problem is not None:
            raise own.problem

    def _make_all(self) -> None:
        with self._arrivals:
            group, self._waiting = self._waiting, []

        problems: Problems = [OSError("the commit was cut off")] * len(group)
        try:
            problems = self._commit_all([waiting.item for waiting in group])
        except Exception as error:  # noqa: BLE001 - raised again by each of them
            problems = [error] * len(group)
        finally:
            for waiting, problem in zip(group, problems, strict=True):
                waiting.problem, waiting.is_done = problem, True

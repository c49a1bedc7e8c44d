"""The processes of an engine on this machine: found by their names, watched, and killed.

vLLM starts them as children of this process, each with workers of its own. Asks psutil. Knows
nothing of what they compute.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from multiprocessing import active_children

import psutil

NAME = "EngineCore"
"""How vLLM begins the names of the children that it starts."""


class EngineProcesses:
    """The processes of one engine: those of its children, then the children themselves."""

    def __init__(self, processes: Iterable[psutil.Process] = ()) -> None:
        self._processes = tuple(processes)

    @classmethod
    def find(
        cls, *, among: Collection[int | None] | None = None, but: Collection[int] = ()
    ) -> EngineProcesses:
        """Return the engine processes that this process has now, and theirs.

        Only children whose ids are `among` these count, if they are known, and none of `but`, which
        belong to another engine. Reads the table of all processes, which takes milliseconds on a
        large machine.
        """
        found: list[psutil.Process] = []
        for child in active_children():
            if not child.name.startswith(NAME) or child.pid in but:
                continue
            if among is not None and child.pid not in among:
                continue
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(child.pid)
                found += [*process.children(recursive=True), process]
        return cls(found)

    @property
    def pids(self) -> frozenset[int]:
        """Their ids, as the system counts processes."""
        return frozenset(process.pid for process in self._processes)

    def any_stopped(self) -> bool:
        """Return whether one of them was stopped by a signal, and not continued since."""
        return any(_status(process) == psutil.STATUS_STOPPED for process in self._processes)

    def kill(self) -> None:
        """End them at once, also those that are stopped; those that are gone already are left."""
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _status(process: psutil.Process) -> str | None:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return None

"""Loads under way in the worker's staging thread, until the load that needs them takes them.

One thread of low priority, on any core of this process, does one load after the other, so that the
threads which compute tokens keep their cores. Knows nothing of adapters.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from lorabay.vllm_plugin.kernel.row_kernel import use_one_thread

KEPT = 16
"""Loads that nobody took yet, at most. The oldest finished ones beyond that are forgotten: whoever
asked for them has left. The server loads no more than this many at a time."""

NICENESS = 5
"""`nice` value of the staging thread: that of the threads which read folders, for the same reason
(`lorabay.reconcile.ingest`)."""

SWITCH_INTERVAL_S = 0.0001
"""Longest wait of the engine's loop for Python code of the staging thread.

A step gives up Python's lock for each module, 210 times for 30 layers, and may wait each time.
Python's default is 5 ms."""

Result = TypeVar("Result")

_loads: OrderedDict[int, Future[Any]] = OrderedDict()


def start(engine_id: int, load: Callable[[], Any]) -> None:
    """Begin `load` in the staging thread, unless a load of this adapter is there already."""
    if engine_id in _loads:
        return

    _loads[engine_id] = _thread().submit(load)

    finished = [other for other, future in _loads.items() if future.done()]
    surplus = max(0, len(_loads) - KEPT)
    for forgotten in finished[:surplus]:
        del _loads[forgotten]


def beside(work: Callable[[], Result]) -> Future[Result]:
    """Begin other work in the staging thread, after the loads that wait there."""
    return _thread().submit(work)


def is_done(engine_id: int) -> bool:
    """Return whether a load of this adapter is there, and has ended, well or badly."""
    load = _loads.get(engine_id)
    return load is not None and load.done()


def take(engine_id: int) -> Future[Any] | None:
    """Remove and return the load of an adapter, finished or not."""
    return _loads.pop(engine_id, None)


def forget_all() -> None:
    """Drop every load; one that runs ends unseen."""
    _loads.clear()


@cache
def _thread() -> ThreadPoolExecutor:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return ThreadPoolExecutor(1, "lorabay-staging", initializer=_step_aside)


def _step_aside() -> None:
    """Give the thread a low priority, any core of the process, and no threads of its own."""
    # On Linux a nice value belongs to one thread.
    os.nice(NICENESS)
    # A runtime may have bound the main thread to one core, which this thread has inherited.
    os.sched_setaffinity(0, cores_of_process())
    use_one_thread()


def cores_of_process() -> set[int]:
    """Return the cores that the threads of this process may use, all of them together.

    Others are not touched: a worker that is bound to the memory beside its GPU stays there.
    """
    cores = os.sched_getaffinity(0)
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended
            cores |= os.sched_getaffinity(int(thread.name))

    return cores

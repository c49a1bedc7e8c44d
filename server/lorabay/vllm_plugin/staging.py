"""Loads under way beside the engine's loop: started and asked for by remote call, taken by the load
that needs them.

`StagingWorker` becomes a part of vLLM's worker (`worker_extension_cls`). One thread of low
priority, on any core, does one load after the other, so that the threads which compute tokens keep
their cores.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

from lorabay.vllm_plugin import supported
from lorabay.vllm_plugin.row_kernel import use_one_thread

KEPT = 16
"""Adapters under way or ready that nobody took yet. The oldest ready ones beyond that are
forgotten: whoever asked for them has left. The server loads no more than this many at a time."""

NICENESS = 5
"""As of the threads that read folders (`lorabay.serving.ingest`), and for the same reason."""
SWITCH_INTERVAL_S = 0.0005
"""How long the loop waits for Python code of the staging thread; Python's default of 5 ms shows in
every step.
"""

_staged: OrderedDict[int, Future[Any]] = OrderedDict()


class StagingWorker:
    """What vLLM's worker learns: to stage an adapter, and to say whether it is there."""

    def stage_adapter(self, name: str, engine_id: int, path: str) -> None:
        """Begin to load; returns at once. A load that is under way, or an adapter that is loaded,
        stays as it is.

        A vLLM that the plugin leaves as it is loads by itself, when the adapter is added.
        """
        if not supported():
            return
        from vllm.lora.request import LoRARequest

        from lorabay.vllm_plugin import adapter_loading

        adapter_loading.install()
        manager = self.model_runner.lora_manager  # type: ignore[attr-defined]
        if engine_id in _staged or engine_id in manager.list_adapters():
            return
        _staged[engine_id] = _thread().submit(
            adapter_loading.prepare, manager, LoRARequest(name, engine_id, path)
        )
        ready = [staged for staged, load in _staged.items() if load.done()]
        for forgotten in ready[: max(0, len(_staged) - KEPT)]:
            del _staged[forgotten]

    def adapter_is_staged(self, engine_id: int) -> bool:
        """True when a load of this adapter would not wait; also when there is nothing to wait
        for.
        """
        staged = _staged.get(engine_id)
        return staged is None or staged.done()


def take(engine_id: int) -> Future[Any] | None:
    """The staged load of an adapter, finished or not; the caller has it alone."""
    return _staged.pop(engine_id, None)


@cache
def _thread() -> ThreadPoolExecutor:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return ThreadPoolExecutor(1, "lorabay-staging", initializer=_step_aside)


def _step_aside() -> None:
    """Low priority, any core (vLLM binds its worker's main thread to one), and no threads of its
    own.
    """
    os.nice(NICENESS)  # of this thread alone, on Linux
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    use_one_thread()

"""Loads beside the engine's loop: begun by remote call, waited for, taken once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lorabay.vllm_plugin import adapter_loading, staging
from lorabay.vllm_plugin.staging import KEPT, NICENESS, StagingWorker, take


class Worker(StagingWorker):
    """vLLM's worker, as far as staging looks at it."""

    def __init__(self, loaded: set[int]) -> None:
        self.model_runner = SimpleNamespace(lora_manager=SimpleNamespace(list_adapters=lambda: loaded))


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Any], Any]], None]]:
    """Replaces what the staging thread does with a request; forgets what was staged."""
    yield lambda work: monkeypatch.setattr(adapter_loading, "prepare", lambda manager, request: work(request))
    staging._staged.clear()


def test_a_load_runs_beside_and_is_taken_once(prepare: Any) -> None:
    """The call returns while the load still runs; whoever takes it gets the result, and nobody else."""
    may_end = threading.Event()

    def work(request: Any) -> str:
        may_end.wait(10)
        return f"{request.lora_name} from {request.lora_path}"

    prepare(work)
    worker = Worker(loaded=set())
    worker.stage_adapter("a@1", 7, "/store/a")
    worker.stage_adapter("a@1", 7, "/store/a")
    assert not worker.adapter_is_staged(7)
    may_end.set()
    staged = take(7)
    assert staged is not None
    assert staged.result(10) == "a@1 from /store/a"
    assert take(7) is None
    assert worker.adapter_is_staged(7)


def test_a_failed_load_fails_whoever_takes_it(prepare: Any) -> None:
    """The reason arrives where vLLM's own load would have raised it."""

    def work(request: Any) -> None:
        raise ValueError("bad tensors")

    prepare(work)
    Worker(loaded=set()).stage_adapter("a@1", 7, "/store/a")
    staged = take(7)
    assert staged is not None
    with pytest.raises(ValueError, match="bad tensors"):
        staged.result(10)


def test_what_is_loaded_is_not_loaded_again(prepare: Any) -> None:
    """And what nobody takes is forgotten before it fills the memory."""
    prepare(lambda request: request.lora_name)
    worker = Worker(loaded={7})
    worker.stage_adapter("a@1", 7, "/store/a")
    assert take(7) is None
    for number in range(1, KEPT + 3):
        worker.stage_adapter(f"b@{number}", 100 + number, "/store/b")
    assert [number for number in range(1, KEPT + 3) if take(100 + number) is not None] == list(range(3, KEPT + 3))


def test_the_staging_thread_steps_aside(prepare: Any) -> None:
    """It has a low priority of its own; the thread that computes tokens keeps its own."""
    prepare(lambda request: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    Worker(loaded=set()).stage_adapter("a@1", 7, "/store/a")
    staged = take(7)
    assert staged is not None
    assert staged.result(10) == min(before + NICENESS, 19)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before

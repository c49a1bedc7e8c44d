"""Remote calls that load an adapter beside the engine's loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import vllm.version

from lorabay.vllm_plugin import adapter_loading, compile_beside, slot_order, staged_loads
from lorabay.vllm_plugin.staged_loads import take
from lorabay.vllm_plugin.staging import StagingWorker


class Worker(StagingWorker):
    """vLLM's worker, as far as staging looks at it; it takes in what was staged."""

    def __init__(self, loaded: set[int]) -> None:
        self.loaded = loaded
        self.taken: list[object] = []
        adapters = SimpleNamespace(_registered_adapters=loaded)
        self.model_runner = SimpleNamespace(lora_manager=SimpleNamespace(_adapter_manager=adapters))

    def add_lora(self, request: Any) -> bool:
        staged = take(request.lora_int_id)
        if staged is not None:
            self.taken.append(staged.result(10))
            self.loaded.add(request.lora_int_id)
        return True

    def outcome(self, *identity: Any) -> tuple[str, str]:
        """Ask until the load has ended, as the server does."""
        while (outcome := self.load_adapter(*identity)) is None:
            staged_loads.beside(lambda: None).result(10)
        return outcome


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Any], Any]], None]]:
    """Replaces what the staging thread does with a request; forgets what was staged."""
    yield lambda work: monkeypatch.setattr(
        adapter_loading, "prepare", lambda manager, request, rest: work(request)
    )
    staged_loads.forget_all()


def test_a_load_runs_beside_and_is_taken_in_by_the_call_after_its_end(prepare: Any) -> None:
    """Until then each call returns at once. It is staged once, however often it is asked for."""
    may_end = threading.Event()

    def work(request: Any) -> str:
        may_end.wait(10)
        return f"{request.lora_name} from {request.lora_path}"

    prepare(work)
    worker = Worker(loaded=set())
    assert worker.load_adapter("a@1", 7, "/store/a") is None
    assert worker.load_adapter("a@1", 7, "/store/a") is None
    may_end.set()
    assert worker.outcome("a@1", 7, "/store/a") == ("loaded", "")
    assert worker.load_adapter("a@1", 7, "/store/a") == ("loaded", "")
    assert worker.taken == ["a@1 from /store/a"]


def test_a_vllm_that_is_left_alone_loads_by_itself(
    prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is replaced, nothing staged, and there is nothing to wait for."""
    prepare(lambda request: request.lora_name)
    monkeypatch.setattr(vllm.version, "__version__", "9.9.9")
    monkeypatch.setattr(
        adapter_loading, "install", lambda: pytest.fail("a vLLM that is not known was patched")
    )
    worker = Worker(loaded=set())
    assert worker.load_adapter("a@1", 7, "/store/a") == ("loaded", "")
    assert worker.taken == []


def test_a_failed_load_comes_back_as_a_value(prepare: Any) -> None:
    """What is said of the weights is told apart from what failed here; then it begins anew."""

    def refuse(request: Any) -> None:
        raise ValueError("bad tensors")

    def fail(request: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", request.lora_path)

    worker = Worker(loaded=set())
    prepare(refuse)
    assert worker.outcome("a@1", 7, "/store/a") == ("refused", "bad tensors")
    prepare(fail)
    assert worker.outcome("a@1", 7, "/store/a") == ("failed", "No such file or directory")
    prepare(lambda request: request.lora_name)
    assert worker.outcome("a@1", 7, "/store/a") == ("loaded", "")


def test_what_is_loaded_is_not_loaded_again(prepare: Any) -> None:
    prepare(lambda request: request.lora_name)
    worker = Worker(loaded={7})
    assert worker.load_adapter("a@1", 7, "/store/a") == ("loaded", "")
    assert worker.taken == []


def test_the_worker_tells_which_adapters_are_in_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """By vLLM's ids, without the slots that are empty; and it hears which ones are pinned."""
    pinned: list[list[int]] = []
    monkeypatch.setattr(slot_order, "pin", lambda manager, ids: pinned.append(ids))
    worker = Worker(loaded={7, 9})
    worker.model_runner.lora_manager._adapter_manager.lora_index_to_id = [9, None, 7, None]
    assert worker.adapters_in_slots([7]) == [9, 7]
    assert pinned == [[7]]


def test_a_vllm_that_is_left_alone_pins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It still tells which adapters are in slots."""
    monkeypatch.setattr(vllm.version, "__version__", "9.9.9")
    monkeypatch.setattr(slot_order, "pin", lambda *_: pytest.fail("a vLLM that is not known"))
    worker = Worker(loaded={7})
    worker.model_runner.lora_manager._adapter_manager.lora_index_to_id = [7]
    assert worker.adapters_in_slots([7]) == [7]


def test_the_worker_tells_how_far_the_compilation_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is also what lets it go on."""
    monkeypatch.setattr(compile_beside, "advance", lambda: ("compiling", 7, ""))
    assert Worker(loaded=set()).advance_compilation() == ("compiling", 7, "")

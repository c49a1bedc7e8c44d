"""Remote calls that stage an adapter beside the engine's loop."""

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
    """vLLM's worker, as far as staging looks at it."""

    def __init__(self, loaded: set[int]) -> None:
        adapters = SimpleNamespace(_registered_adapters=loaded)
        self.model_runner = SimpleNamespace(lora_manager=SimpleNamespace(_adapter_manager=adapters))


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Any], Any]], None]]:
    """Replaces what the staging thread does with a request; forgets what was staged."""
    yield lambda work: monkeypatch.setattr(
        adapter_loading, "prepare", lambda manager, request: work(request)
    )
    staged_loads.forget_all()


def test_a_load_runs_beside_and_is_taken_once(prepare: Any) -> None:
    """The call returns while the load still runs; whoever takes it gets the result, and nobody
    else.
    """
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
    worker.stage_adapter("a@1", 7, "/store/a")
    assert worker.adapter_is_staged(7)
    assert take(7) is None


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
    prepare(lambda request: request.lora_name)
    Worker(loaded={7}).stage_adapter("a@1", 7, "/store/a")
    assert take(7) is None


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


def test_a_load_comes_back_as_a_value() -> None:
    """A worker that cannot read the folder says so, in a form that keeps its kind on the way."""
    worker: Any = Worker(loaded=set())

    def add_lora(request: Any) -> bool:
        assert (request.lora_name, request.lora_int_id) == ("a@1", 7)
        raise FileNotFoundError(2, "No such file or directory", request.lora_path)

    worker.add_lora = add_lora
    assert worker.load_adapter("a@1", 7, "/store/a") == ("failed", "No such file or directory")
    worker.add_lora = lambda request: True
    assert worker.load_adapter("a@1", 7, "/store/a") == ("loaded", "")


def test_the_worker_tells_how_far_the_compilation_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is also what lets it go on."""
    monkeypatch.setattr(compile_beside, "advance", lambda: ("compiling", 7, ""))
    assert Worker(loaded=set()).advance_compilation() == ("compiling", 7, "")

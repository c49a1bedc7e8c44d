"""vLLM's manager of grammars, as the plugin leaves it in the engine's process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.config import ModelConfig, VllmConfig
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.v1.structured_output import StructuredOutputManager
from vllm.v1.structured_output.backend_guidance import GuidanceGrammar
from vllm.v1.structured_output.backend_outlines import OutlinesGrammar
from vllm.v1.structured_output.backend_xgrammar import XgrammarGrammar
from vllm.v1.structured_output.request import StructuredOutputRequest

from lorabay.vllm_plugin.engine_process.grammar_compiles import (
    NICENESS,
    OUTLINES_KEPT,
    cancel_with_requests,
    compile_aside,
)

PATIENCE_S = 60
KINDS = {"outlines": OutlinesGrammar, "guidance": GuidanceGrammar, "xgrammar": XgrammarGrammar}

# vLLM's own call of xgrammar.
pytestmark = pytest.mark.filterwarnings("ignore:max_rollback_tokens is deprecated")


@pytest.fixture(scope="module")
def manager(tiny_base: Path) -> Iterator[Any]:
    class Manager(StructuredOutputManager):
        pass

    compile_aside(Manager)
    config = VllmConfig(model_config=ModelConfig(model=str(tiny_base), dtype="float32"))
    manager = Manager(config)
    yield manager
    manager.clear_backend()


def request_for(backend: str, **grammar: Any) -> Any:
    wanted = StructuredOutputsParams(**grammar)
    wanted._backend = backend
    return SimpleNamespace(
        request_id="r",
        structured_output_request=StructuredOutputRequest(wanted),
        sampling_params=SamplingParams(structured_outputs=wanted),
    )


def compiled(manager: Any, backend: str, **grammar: Any) -> Any:
    request = request_for(backend, **grammar)
    manager.grammar_init(request)
    return request.structured_output_request._grammar.result(PATIENCE_S)


def test_each_grammar_goes_to_its_own_backend(manager: Any) -> None:
    """Whichever backend took the first grammar of the engine's life, and in any order."""
    for _ in range(2):
        for name, kind in KINDS.items():
            assert isinstance(compiled(manager, name, regex="a+"), kind)
    assert manager.backends.keys() == KINDS.keys()


def test_no_backend_keeps_much(manager: Any) -> None:
    """outlines would keep 128 grammars, however large."""
    for number in range(OUTLINES_KEPT + 2):
        compiled(manager, "outlines", regex=f"a{{{number + 1}}}")
    assert len(manager.backends["outlines"].cache) == OUTLINES_KEPT


def test_one_mask_fits_the_grammars_of_all_backends(manager: Any) -> None:
    """Their requests are in one batch."""
    grammars = [compiled(manager, name, regex="a+") for name in KINDS]
    mask = manager.backend.allocate_token_bitmask(len(grammars))
    for row, grammar in enumerate(grammars):
        mask[row].fill_(-1)
        grammar.fill_bitmask(mask, row)
    assert mask.unique(dim=0).shape[0] == 1


def test_compiling_steps_aside(manager: Any) -> None:
    """Its threads are of low priority, and may run on any core."""
    before = os.nice(0)
    nice = manager.executor.submit(lambda: os.nice(0)).result(PATIENCE_S)
    cores = manager.executor.submit(lambda: os.sched_getaffinity(0)).result(PATIENCE_S)
    assert nice == min(before + NICENESS, 19)
    assert len(cores) == os.cpu_count()
    assert os.nice(0) == before


def test_a_request_without_a_grammar_starts_nothing(manager: Any) -> None:
    """Most requests are such."""
    manager.grammar_init(SimpleNamespace(structured_output_request=None))


class Panic(BaseException):
    """What a panic in Rust becomes in Python."""


@pytest.mark.parametrize("error", [Panic("index"), ValueError("index")])
def test_a_panic_fails_one_request(
    manager: Any, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's loop takes only exceptions for a failure of the request."""
    compiled(manager, "xgrammar", regex="a+")

    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(manager.backends["xgrammar"], "compile_grammar", fail)
    request = request_for("xgrammar", regex="b+")
    manager.grammar_init(request)
    failure = request.structured_output_request._grammar.exception(PATIENCE_S)
    assert isinstance(failure, Exception)
    assert "index" in str(failure)


@pytest.fixture
def finish() -> Callable[[list[Any]], list[Any]]:
    class Scheduler:
        def finish_requests(self, requests: list[Any], status: str) -> list[Any]:
            return requests

    cancel_with_requests(Scheduler)
    return lambda requests: Scheduler().finish_requests(requests, "aborted")


def test_what_a_client_abandons_is_not_begun(finish: Callable[[list[Any]], list[Any]]) -> None:
    """A compiling that waits is dropped with its request; nothing else is touched."""
    waiting = request_for("xgrammar", regex="a")
    waiting.structured_output_request.grammar = Future()
    running = request_for("xgrammar", regex="a")
    begun: Future[Any] = Future()
    begun.set_running_or_notify_cancel()
    running.structured_output_request.grammar = begun
    done = request_for("xgrammar", regex="a")
    done.structured_output_request.grammar = "grammar"
    plain = SimpleNamespace(structured_output_request=None)

    requests = [waiting, running, done, plain]
    assert finish(requests) == requests
    assert waiting.structured_output_request._grammar.cancelled()
    assert not begun.cancelled()

"""A base without compiled code answers at once, and takes the code up when a helper has made it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.compilation import decorators
from vllm.compilation.wrapper import TorchCompileWithNoGuardsWrapper
from vllm.config import CompilationConfig, CompilationMode, VllmConfig, set_current_vllm_config

from lorabay.vllm_plugin import compile_beside, staged_loads
from lorabay.vllm_plugin.forked_helper import ForkedHelper


class Part(torch.nn.Module, TorchCompileWithNoGuardsWrapper):  # type: ignore[misc]
    """A part of vLLM's model that is compiled as one graph."""

    def __init__(self) -> None:
        super().__init__()
        self.do_not_compile = False
        self.aot_compiled_fn: object = None


class Model(torch.nn.Module):
    """vLLM's model: around the part that is compiled there are others."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Part()
        self.head = torch.nn.Linear(1, 1)


class Runner:
    """vLLM's runner of a small base in one worker; `warm_ups` counts."""

    def __init__(self) -> None:
        self.model = Model()
        self.parallel_config = SimpleNamespace(world_size_across_dp=1)
        self.cache_config = SimpleNamespace(kv_cache_memory_bytes=1 << 30)
        self.speculative_config: object = None
        self.supports_mm_inputs = False
        self.warm_ups = 0

    def get_model(self) -> Model:
        return self.model

    def warm_up(self) -> None:
        self.warm_ups += 1

    def start(self) -> None:
        compile_beside.warm_up_beside(self, self.warm_up)


class Helper:
    """A forked helper that does nothing; `works` are what helpers were started for."""

    works: list[Callable[[], None]]
    code: int | None = None
    pid = 77

    def ended(self) -> int | None:
        return self.code

    def kill(self) -> None:
        raise AssertionError


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> Helper:
    """The helper of the next start; nothing is forked. Leaves no compilation behind."""
    helper = Helper()
    helper.works = []

    def start(work: Callable[[], None], *, niceness: int) -> Helper:
        helper.works.append(work)
        return helper

    monkeypatch.setenv(compile_beside.VARIABLE, "1")
    monkeypatch.setattr(ForkedHelper, "start", start)
    monkeypatch.setattr(compile_beside, "_current", None)
    return helper


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """vLLM's cache: the code in it, if there is any."""
    codes: list[str] = []
    monkeypatch.setattr(compile_beside, "_read", lambda model: codes[-1] if codes else None)

    def beside(work: Callable[[], Any]) -> Future[Any]:
        loaded: Future[Any] = Future()
        loaded.set_result(work())
        return loaded

    monkeypatch.setattr(staged_loads, "beside", beside)
    return codes


def test_code_from_an_earlier_start_is_used_at_once(helper: Helper, cache: list[str]) -> None:
    """The warm-up then runs it, as vLLM's does."""
    cache.append("code")
    runner = Runner()
    runner.start()
    assert runner.model.part.aot_compiled_fn == "code"
    assert not runner.model.part.do_not_compile
    assert (runner.warm_ups, helper.works) == (1, [])
    assert compile_beside.advance() == ("done", None, "")


def test_without_code_a_helper_makes_it(helper: Helper, cache: list[str]) -> None:
    """The worker waits for nothing, and runs compiled from the question on that finds the code."""
    runner = Runner()
    part = runner.model.part
    runner.start()
    assert part.do_not_compile
    assert (runner.warm_ups, len(helper.works)) == (0, 1)
    assert compile_beside.advance() == ("compiling", 77, "")

    helper.code = 0
    cache.append("code")
    assert compile_beside.advance() == ("done", None, "")
    assert (part.aot_compiled_fn, part.do_not_compile) == ("code", False)


def test_a_helper_that_leaves_nothing_leaves_the_base_uncompiled(
    helper: Helper, cache: list[str]
) -> None:
    """vLLM's saving may fail, and only logs it."""
    runner = Runner()
    runner.start()
    helper.code = 0
    stage, _, reason = compile_beside.advance()
    assert (stage, runner.model.part.do_not_compile) == ("failed", True)
    assert "FileNotFoundError" in reason


def test_memory_that_vllm_measures_is_there_to_be_measured(
    helper: Helper, cache: list[str]
) -> None:
    """Where the cache's size follows from it, the warm-up runs uncompiled beside its helper."""
    runner = Runner()
    runner.cache_config.kv_cache_memory_bytes = None
    runner.start()
    assert (runner.warm_ups, len(helper.works)) == (1, 1)
    assert runner.model.part.do_not_compile


@pytest.mark.parametrize("obstacle", ["asked", "workers", "drafter", "pictures", "memory"])
def test_vllm_compiles_first_where_a_helper_could_not(
    helper: Helper, cache: list[str], monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    """Without the server's word, with other workers, a drafter or pictures, without memory."""
    runner = Runner()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    match obstacle:
        case "asked":
            monkeypatch.setenv(compile_beside.VARIABLE, "0")
        case "workers":
            runner.parallel_config.world_size_across_dp = 2
        case "drafter":
            runner.speculative_config = object()
        case "pictures":
            runner.supports_mm_inputs = True
        case "memory":
            monkeypatch.setattr(ForkedHelper, "start", refuse)
    runner.start()
    assert (runner.warm_ups, helper.works) == (1, [])
    assert not runner.model.part.do_not_compile
    assert compile_beside.advance() == ("done", None, "")


def test_a_helper_ends_with_the_last_saved_graph(
    helper: Helper, cache: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It compiles for the worker's threads, and does not run what it has compiled."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    saved: list[tuple[object, int]] = []

    def save(part: Part) -> None:
        saved.append((part, torch.get_num_threads()))

    monkeypatch.setattr(Part, "save_aot_compiled_function", save, raising=False)
    monkeypatch.setattr(os, "_exit", lambda code: (_ for _ in ()).throw(SystemExit(code)))
    runner = Runner()

    def warm_up() -> None:
        part: Any = runner.model.part
        part.save_aot_compiled_function()
        raise AssertionError("the helper goes on")

    runner.warm_up = warm_up  # type: ignore[method-assign]
    runner.start()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    with pytest.raises(SystemExit, match="0"):
        helper.works[0]()
    assert saved == [(runner.model.part, 5)]


def test_code_lies_where_vllms_own_call_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_rank: None
) -> None:
    """Otherwise the helper's work would never be found."""
    monkeypatch.setenv("VLLM_CACHE_ROOT", str(tmp_path))
    monkeypatch.setenv("VLLM_USE_AOT_COMPILE", "1")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    looked: list[str] = []

    def load(model: Any, path: str) -> Any:
        looked.append(path)
        return lambda self, x: x

    monkeypatch.setattr(decorators, "_try_load_aot_compiled_fn", load)
    config = VllmConfig(
        compilation_config=CompilationConfig(
            mode=CompilationMode.DYNAMO_TRACE_ONCE, backend="inductor"
        )
    )
    # vLLM's platform may have chosen another mode for a configuration without a model.
    config.compilation_config.mode = CompilationMode.DYNAMO_TRACE_ONCE
    config.compilation_config.backend = "inductor"

    @decorators.support_torch_compile(dynamic_arg_dims={"x": 0})
    class Toy(torch.nn.Module):
        def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
            super().__init__()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    with set_current_vllm_config(config):
        toy: Any = Toy(vllm_config=config)
        toy(torch.ones(2))
    place = Path(looked[0])
    place.parent.mkdir(parents=True)
    place.write_bytes(b"")
    assert compile_beside.models_of(toy) == [toy]
    assert compile_beside._read(toy) is not None
    assert looked[1] == looked[0]

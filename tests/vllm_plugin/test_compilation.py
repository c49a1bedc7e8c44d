"""Compilation stays on beside LoRA where there is a compiler, and its absence is told."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.compilation import caching
from vllm.config import VllmConfig
from vllm.config.lora import LoRAConfig

from lorabay.vllm_plugin import compilation


def platform() -> Any:
    """A platform that, like vLLM's, compiles only without LoRA."""

    class Platform:
        @classmethod
        def check_and_update_config(cls, vllm_config: Any) -> None:
            vllm_config.compiled = vllm_config.lora_config is None

    compilation.keep_compilation(Platform)
    return Platform


def chosen(kind: Any, lora: object) -> Any:
    config = SimpleNamespace(lora_config=lora, compiled=None)
    kind.check_and_update_config(config)
    return config


def test_lora_does_not_switch_compilation_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the configuration keeps its LoRA part."""
    monkeypatch.setattr(compilation, "has_compiler", lambda: True)
    config = chosen(platform(), lora := LoRAConfig())
    assert config.compiled
    assert config.lora_config is lora


def test_without_a_compiler_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """vLLM's choice stands, loudly; without LoRA there is nothing to say."""
    monkeypatch.setattr(compilation, "has_compiler", lambda: False)
    kind = platform()
    assert chosen(kind, None).compiled
    assert not caplog.records
    assert not chosen(kind, LoRAConfig()).compiled
    assert "uncompiled" in caplog.text


def test_fully_sharded_lora_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A graph that is traced before an adapter comes would hold none, and the base would answer for
    all of them.
    """
    monkeypatch.setattr(compilation, "has_compiler", lambda: True)
    assert not chosen(platform(), LoRAConfig(fully_sharded_loras=True)).compiled
    assert "uncompiled" in caplog.text


def test_the_compiler_is_the_one_that_torch_would_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """`CXX` names it."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not compilation.has_compiler()
    monkeypatch.setenv("CXX", "true")
    assert compilation.has_compiler()


def test_a_later_start_takes_what_a_former_one_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM can finish the loading of an artefact of torch's own backend; one of vLLM's backend
    finishes itself.
    """
    ours, finished = SimpleNamespace(), []
    theirs = SimpleNamespace(finalize_loading=finished.append)
    monkeypatch.setattr(torch.compiler, "load_compiled_function", wrapped_in_artefact)
    monkeypatch.setattr(caching, "aot_compile_hash_factors", lambda config: [config.name])
    compilation.reuse_compiled.__wrapped__()
    for compiled in (ours, theirs):
        torch.compiler.load_compiled_function(compiled)._artifacts.compiled_fn.finalize_loading(
            "config"
        )
    assert finished == ["config"]


def test_compiled_code_is_for_one_kind_of_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that hosts share never gives code that one of them cannot run."""
    monkeypatch.setattr(torch.compiler, "load_compiled_function", wrapped_in_artefact)
    monkeypatch.setattr(caching, "aot_compile_hash_factors", lambda config: [config.name])
    compilation.reuse_compiled.__wrapped__()
    config = SimpleNamespace(name="config", lora_config=None)
    here = caching.aot_compile_hash_factors(config)
    assert here == caching.aot_compile_hash_factors(config)
    monkeypatch.setattr(compilation, "processor", lambda: "flags: fpu sse2")
    assert caching.aot_compile_hash_factors(config) not in (here, ["config"])


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What vLLM's key of a compiled graph is made of, for LoRA with these options."""
    monkeypatch.setattr(torch.compiler, "load_compiled_function", wrapped_in_artefact)
    monkeypatch.setattr(caching, "aot_compile_hash_factors", caching.aot_compile_hash_factors)
    compilation.reuse_compiled.__wrapped__()

    def key(**options: Any) -> list[str]:
        config = VllmConfig(
            lora_config=LoRAConfig(lora_dtype="bfloat16", **options) if options else None
        )
        before = config.compute_hash()
        factors: list[str] = caching.aot_compile_hash_factors(config)
        assert config.compute_hash() == before
        return factors

    return key


def test_more_adapters_or_a_higher_rank_need_no_new_code(key: Callable[..., list[str]]) -> None:
    """Slots and rank limit follow from the adapters at a start; the compiled graph holds
    neither.
    """
    few = key(max_loras=2, max_lora_rank=16)
    assert key(max_loras=8, max_lora_rank=16) == few
    assert key(max_loras=2, max_lora_rank=256) == few


def test_what_a_graph_depends_on_stays_in_its_key(key: Callable[..., list[str]]) -> None:
    """LoRA or none, the modules that have it, and its shapes where vLLM's own layers stay."""
    few = key(max_loras=2, max_lora_rank=16)
    assert few not in (key(), key(max_loras=2, max_lora_rank=16, target_modules=["q_proj"]))
    sharded = [key(max_loras=slots, max_lora_rank=16, fully_sharded_loras=True) for slots in (2, 8)]
    assert sharded[0] != sharded[1]
    assert few not in sharded


def wrapped_in_artefact(compiled: object) -> Any:
    return SimpleNamespace(_artifacts=SimpleNamespace(compiled_fn=compiled))

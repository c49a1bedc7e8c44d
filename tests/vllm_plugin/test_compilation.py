"""Compilation stays on beside LoRA where there is a compiler, and its absence is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.compilation import caching

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
    config = chosen(platform(), "lora")
    assert config.compiled
    assert config.lora_config == "lora"


def test_without_a_compiler_the_log_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """vLLM's choice stands, loudly; without LoRA there is nothing to say."""
    monkeypatch.setattr(compilation, "has_compiler", lambda: False)
    kind = platform()
    assert chosen(kind, None).compiled
    assert not caplog.records
    assert not chosen(kind, "lora").compiled
    assert "uncompiled" in caplog.text


def test_the_compiler_is_the_one_that_torch_would_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """`CXX` names it."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not compilation.has_compiler()
    monkeypatch.setenv("CXX", "true")
    assert compilation.has_compiler()


def test_a_later_start_takes_what_a_former_one_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM can finish the loading of an artefact of torch's own backend; one of vLLM's backend finishes itself."""
    ours, finished = SimpleNamespace(), []
    theirs = SimpleNamespace(finalize_loading=finished.append)
    monkeypatch.setattr(torch.compiler, "load_compiled_function", wrapped_in_artefact)
    monkeypatch.setattr(caching, "aot_compile_hash_factors", lambda config: [config])
    compilation.reuse_compiled.__wrapped__()
    for compiled in (ours, theirs):
        torch.compiler.load_compiled_function(compiled)._artifacts.compiled_fn.finalize_loading("config")
    assert finished == ["config"]


def test_compiled_code_is_for_one_kind_of_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that hosts share never gives code that one of them cannot run."""
    monkeypatch.setattr(torch.compiler, "load_compiled_function", wrapped_in_artefact)
    monkeypatch.setattr(caching, "aot_compile_hash_factors", lambda config: [config])
    compilation.reuse_compiled.__wrapped__()
    here = caching.aot_compile_hash_factors("config")
    assert here == caching.aot_compile_hash_factors("config")
    monkeypatch.setattr(compilation, "processor", lambda: "flags: fpu sse2")
    assert caching.aot_compile_hash_factors("config") not in (here, ["config"])


def wrapped_in_artefact(compiled: object) -> Any:
    return SimpleNamespace(_artifacts=SimpleNamespace(compiled_fn=compiled))

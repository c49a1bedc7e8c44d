"""What the settings make of whole models: whether there are any, and how their engines start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lorabay.base.find import BaseFolder
from lorabay.metrics import Metrics
from lorabay.server import models as module
from lorabay.server.models import SEQUENCES, model_checks, model_plan
from lorabay.serving.models.model_engines import NO_MODELS
from lorabay.settings import Settings
from tests import making
from tests.fake_engine import FakeEngine
from tests.versions import make_model

GIB = 1 << 30
OPTIONS = {
    "dtype": "float32",
    "max_model_len": 2048,
    "max_loras": 4,
    "lora_dtype": "auto",
    "enforce_eager": True,
    "trust_remote_code": True,
    "served_model_name": ["base"],
}


def made(
    tmp_path: Path, settings: Settings, options: dict[str, Any] = OPTIONS, **config: object
) -> dict[str, Any]:
    """Return the options of a model's engine beside one with `options`."""
    folder = making.make_model(tmp_path / "model", **config)
    asked: list[dict[str, Any]] = []

    def make_engine(base: BaseFolder, given: Any) -> FakeEngine:
        assert base == BaseFolder(folder, make_model("bank").id)
        asked.append(dict(given))
        return FakeEngine()

    plan = model_plan(settings, options, Metrics(CollectorRegistry()), make_engine)
    plan.make(replace(make_model("bank"), path=folder))
    return asked[0]


def test_by_default_there_are_none() -> None:
    """Nothing is checked for, and nothing is measured."""
    settings = Settings()
    assert model_checks(settings) is None
    metrics = Metrics(CollectorRegistry())
    assert model_plan(settings, OPTIONS, metrics, lambda *_: FakeEngine()) is NO_MODELS


def test_models_are_held_against_what_vllm_knows() -> None:
    """And against the memory that this process may use at all."""
    checks = model_checks(Settings(max_models=1))
    assert checks is not None
    assert "LlamaForCausalLM" in checks.architectures
    assert checks.largest_bytes is not None
    assert checks.largest_bytes > 100 << 20


def test_an_engine_of_a_model_knows_the_machine_and_no_adapters(tmp_path: Path) -> None:
    """What is the base's own stays with it; no program that came with a model is run."""
    options = made(tmp_path, Settings(max_models=1, model_kv_cache_gib=0.5))
    assert options == {
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": 2048,
        "max_num_seqs": SEQUENCES,
        "kv_cache_memory_bytes": GIB // 2,
    }


def test_a_model_with_a_shorter_context_keeps_it(tmp_path: Path) -> None:
    """vLLM would refuse to start otherwise."""
    options = made(tmp_path, Settings(max_models=1), max_position_embeddings=512)
    assert options["max_model_len"] == 512


def test_the_users_own_options_win(tmp_path: Path) -> None:
    """As `--engine` does for the adapters' engine."""
    settings = Settings(max_models=1, model_engine={"max_num_seqs": 4, "dtype": "bfloat16"})
    options = made(tmp_path, settings)
    assert (options["max_num_seqs"], options["dtype"]) == (4, "bfloat16")


def test_a_device_gives_a_model_the_share_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM would ask for nine tenths of the device, which the adapters' engine has."""
    monkeypatch.setattr(module, "engine_is_on_cpu", lambda: False)
    monkeypatch.setattr(module, "device_memory_bytes", lambda: 100 * GIB)
    options = made(tmp_path, Settings(max_models=1, model_kv_cache_gib=7.5))
    assert options["gpu_memory_utilization"] == pytest.approx(0.1, abs=0.01)


def test_what_the_adapters_engine_has_not_taken_yet_is_not_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its KV cache, and something for the server itself."""
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 6 * GIB)
    settings = Settings(max_models=2, cpu_kv_cache_gib=1)
    plan = model_plan(settings, OPTIONS, Metrics(CollectorRegistry()), lambda *_: FakeEngine())
    assert plan.limit == 2
    assert plan.shortage(make_model("bank"), 0) is None
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 4 * GIB)
    text = plan.shortage(make_model("bank"), 0)
    assert text is not None
    assert "--model-kv-cache-gib" in text


async def test_a_gate_has_the_settings_of_the_adapters() -> None:
    """With as many places as the model's engine computes."""
    settings = Settings(max_models=1, max_running=3)
    plan = model_plan(settings, OPTIONS, Metrics(CollectorRegistry()), lambda *_: FakeEngine())
    gate = plan.gate(lambda: None)
    assert gate._bound == 3

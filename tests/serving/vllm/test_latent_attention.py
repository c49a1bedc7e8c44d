"""Bases that vLLM answers wrongly with on a CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vllm.platforms import current_platform

from lorabay.base.find import BaseFolder
from lorabay.errors import SetupError
from lorabay.serving.vllm.engine import VllmEngine
from lorabay.serving.vllm.latent_attention import refuse_latent_attention

DEEPSEEK = {"model_type": "deepseek_v2", "kv_lora_rank": 512}


def base(tmp_path: Path, **config: Any) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize(
    "config",
    [
        DEEPSEEK,
        {"model_type": "deepseek_v4", "compress_ratios": [4, 128], "head_dim": 128},
        {"model_type": "kimi_vl", "text_config": DEEPSEEK, "vision_config": {"hidden_size": 8}},
    ],
)
def test_latent_attention_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    """Wherever the config says it; the sentence tells what to do."""
    with pytest.raises(SetupError, match=r"latent attention .* serve it on a GPU, or pass another"):
        refuse_latent_attention(base(tmp_path, **config))


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "llama", "num_key_value_heads": 4},
        {"model_type": "deepseek_v2", "kv_lora_rank": None},
    ],
)
def test_other_attention_is_served(tmp_path: Path, config: dict[str, Any]) -> None:
    """DeepSeek's small ones of the first version have none, nor have those that name no rank."""
    refuse_latent_attention(base(tmp_path, **config))


def test_a_folder_without_a_config_is_left_to_others(tmp_path: Path) -> None:
    refuse_latent_attention(tmp_path)


def test_it_is_refused_when_the_engine_is_made(tmp_path: Path) -> None:
    """Before vLLM starts; whole models beside the adapters are made in the same way."""
    folder = BaseFolder(base(tmp_path, **DEEPSEEK), "deepseek")
    for adapters in (True, False):
        with pytest.raises(SetupError, match="wrongly on a CPU"):
            VllmEngine(folder, {}, adapters=adapters)


def test_a_gpu_serves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels there are others."""
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: False)
    VllmEngine(BaseFolder(base(tmp_path, **DEEPSEEK), "deepseek"), {})

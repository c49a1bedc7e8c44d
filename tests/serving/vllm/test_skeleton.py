"""A model without weights is vLLM's own, and so are the tables of its adapters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config, LlamaConfig
from vllm.lora import model_manager

from lorabay.errors import SetupError
from lorabay.serving.vllm.args import parse_engine_args
from lorabay.serving.vllm.skeleton import StandIn, adapter_manager


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """Puts back what vLLM sets while it makes a configuration."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def managed(folder: Path, config: Any, architecture: str) -> Any:
    config.architectures = [architecture]
    config.save_pretrained(folder)
    return adapter_manager(parse_engine_args(str(folder), {}))


def test_a_model_of_any_size_takes_no_memory(tmp_path: Path) -> None:
    """It would have 60 GB; each layer for adapters is stood in for, and vLLM's parts are back."""
    before = model_manager.from_layer
    config = LlamaConfig(
        hidden_size=8192,
        intermediate_size=28672,
        num_hidden_layers=36,
        num_attention_heads=64,
        num_key_value_heads=8,
        vocab_size=128256,
    )
    manager = managed(tmp_path, config, "LlamaForCausalLM")
    assert all(parameter.is_meta for parameter in manager.model.parameters())
    assert all(isinstance(layer, StandIn) for layer in manager.modules.values())
    assert len(manager.modules) == 36 * 4 + 2
    assert manager.packed_modules["model.layers.35.self_attn.qkv_proj"] == [
        f"model.layers.35.self_attn.{part}_proj" for part in "qkv"
    ]
    assert model_manager.from_layer is before


def test_a_class_that_takes_no_adapters_is_an_error(tmp_path: Path) -> None:
    """GPT-2's."""
    with pytest.raises(SetupError, match="GPT2LMHeadModel takes no adapters at all"):
        managed(tmp_path, GPT2Config(n_layer=1), "GPT2LMHeadModel")

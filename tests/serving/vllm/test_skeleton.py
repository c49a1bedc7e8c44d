"""A model without weights is vLLM's own, and so are the tables of its adapters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DeepseekV2Config, GPT2Config, LlamaConfig, Qwen2Config
from vllm.config import set_current_vllm_config
from vllm.lora import model_manager
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.utils.torch_utils import set_default_torch_dtype

from lorabay.errors import SetupError
from lorabay.serving.vllm import skeleton
from lorabay.serving.vllm.args import parse_engine_args
from lorabay.serving.vllm.skeleton import StandIn, adapter_manager
from lorabay.vllm_plugin.unadapted_modules import unadapted


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


LAYER = "model.layers.0"
SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
}
LATENT = {
    "q_lora_rank": 64,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "first_k_dense_replace": 1,
}


@pytest.mark.parametrize(
    ("config", "architecture", "options", "left_out"),
    [
        (Qwen2Config(**SMALL), "Qwen2ForCausalLM", {}, ["lm_head"]),
        (
            Qwen2Config(**SMALL),
            "Qwen2ForCausalLM",
            {"lora_target_modules": ["q_proj"]},
            ["lm_head", f"{LAYER}.mlp.down_proj", f"{LAYER}.self_attn.o_proj"],
        ),
        (
            DeepseekV2Config(**SMALL, **LATENT),
            "DeepseekV2ForCausalLM",
            {},
            ["lm_head", f"{LAYER}.self_attn.kv_b_proj"],
        ),
    ],
)
def test_an_engine_with_its_own_layers_decides_alike(
    tmp_path: Path, config: Any, architecture: str, options: Any, left_out: list[str]
) -> None:
    """A worker's manager, over a model that has memory and vLLM's own layers for adapters, leaves
    out the same modules.
    """
    config.architectures = [architecture]
    config.save_pretrained(tmp_path)
    arguments = parse_engine_args(str(tmp_path), options | {"dtype": "float32"})
    attention = ("q_proj", "k_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
    parts = [f"self_attn.{name}" for name in attention] + ["mlp.up_proj", "mlp.down_proj"]
    modules = ["lm_head", *(f"{LAYER}.{part}" for part in parts)]

    found = unadapted(adapter_manager(arguments), modules)
    assert [name for name in left_out if name in found] == left_out

    with_layers = skeleton._config_of(arguments)
    with set_current_vllm_config(with_layers), skeleton._one_rank():
        with set_default_torch_dtype(torch.float32):
            model = initialize_model(vllm_config=with_layers)
        worker = LRUCacheWorkerLoRAManager(with_layers, torch.device("cpu"), {})
        worker.create_lora_manager(model, with_layers)
        assert unadapted(worker._adapter_manager, modules) == found


CLASSES = {"id2label": {0: "no", 1: "yes"}}


@pytest.mark.parametrize(
    ("config", "architecture", "options", "adapted", "left_out"),
    [
        (
            Qwen2Config(**SMALL, **CLASSES),
            "Qwen2ForSequenceClassification",
            {},
            ["score", f"{LAYER}.self_attn.q_proj", "layers.0.mlp.up_proj"],
            ["lm_head"],
        ),
        (
            Qwen2Config(**SMALL),
            "Qwen2Model",
            {"runner": "pooling"},
            ["layers.0.self_attn.q_proj"],
            ["lm_head", "score"],
        ),
        (
            Qwen2Config(**SMALL),
            "Qwen2ForCausalLM",
            {"runner": "pooling", "convert": "embed"},
            [f"{LAYER}.self_attn.q_proj"],
            ["lm_head"],
        ),
    ],
)
def test_pooling_bases_are_adapted_in_their_layers_and_their_head(
    tmp_path: Path,
    config: Any,
    architecture: str,
    options: Any,
    adapted: list[str],
    left_out: list[str],
) -> None:
    """Whether or not their files name the class around the layers."""
    config.architectures = [architecture]
    config.save_pretrained(tmp_path)
    manager = adapter_manager(parse_engine_args(str(tmp_path), options | {"dtype": "float32"}))
    assert manager.is_pooling_model
    assert unadapted(manager, [*adapted, *left_out]).keys() == set(left_out)

"""Modules by the names of a base's files, and by vLLM's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from vllm.model_executor.models.utils import WeightsMapper

from lorabay.vllm_plugin.module_names import (
    factor_name,
    layer_name,
    modules_in,
    renames_of,
    vllm_name,
)

RENAMING = SimpleNamespace(
    hf_to_vllm_mapper=WeightsMapper(orig_to_new_prefix={"model.": "language_model.model."})
)


def test_a_module_gets_the_name_that_vllm_gives_to_its_adapters() -> None:
    """By the class's own table, and unchanged where it has none."""
    module = "model.layers.0.mlp.up_proj"
    assert vllm_name(module, renames_of(RENAMING)) == f"language_model.{module}"
    assert vllm_name(module, renames_of(SimpleNamespace())) == module


def test_an_adapters_file_names_its_modules() -> None:
    """Each once, embeddings too; copies of whole tensors are no modules of an adapter."""
    prefix = "base_model.model."
    names = [
        factor_name("b"),
        f"{prefix}b.lora_B.weight",
        f"{prefix}a.embed_tokens.lora_embedding_A",
        f"{prefix}a.embed_tokens.lora_embedding_B",
        f"{prefix}a.embed_tokens.base_layer.weight",
    ]
    assert modules_in(names) == ["a.embed_tokens", "b"]


def test_a_layer_is_found_with_or_without_the_class_around_it() -> None:
    """Only where nothing has the shorter name, and something has the longer one."""
    manager: Any = SimpleNamespace(
        modules={"model.norm_proj": None, "score": None, "model.score": None},
        packed_modules={"model.qkv": ["model.q", "model.k"]},
    )
    found = [layer_name(name, manager) for name in ("q", "norm_proj", "score", "absent")]
    assert found == ["model.q", "model.norm_proj", "score", "absent"]

"""Output scales of DoRA versions, and which layers may have them; the whole way is in tests/e2e."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lorabay.catalog.spec import SCALES_FILE as STORED
from lorabay.vllm_plugin import adapter_loading
from lorabay.vllm_plugin.adapter_loading import SCALES_FILE, read_scales

LAYER = "model.layers.0"
PACKED = {f"{LAYER}.self_attn.qkv_proj": [f"{LAYER}.self_attn.{part}_proj" for part in "qkv"]}


def manager(**facts: Any) -> Any:
    return SimpleNamespace(model=SimpleNamespace(), packed_modules=PACKED, **facts)


def test_the_file_is_the_one_that_the_store_writes() -> None:
    """Two rings that may not import one another agree on its name."""
    assert SCALES_FILE == STORED


def test_scales_are_found_under_vllms_names(tmp_path: Path) -> None:
    """A packed module gets a list with a place for each of its parts, a plain one its tensor."""
    q, v, o = torch.rand(8), torch.rand(4), torch.rand(8)
    tensors = {"self_attn.q_proj": q, "self_attn.v_proj": v, "self_attn.o_proj": o}
    save_file({f"{LAYER}.{name}.scale": tensor for name, tensor in tensors.items()}, tmp_path / SCALES_FILE)
    found = read_scales(tmp_path, manager())
    assert set(found) == {f"{LAYER}.self_attn.qkv_proj", f"{LAYER}.self_attn.o_proj"}
    first, second, third = found[f"{LAYER}.self_attn.qkv_proj"]
    assert torch.equal(first, q)
    assert second is None
    assert torch.equal(third, v)
    assert torch.equal(found[f"{LAYER}.self_attn.o_proj"], o)


def test_a_version_without_the_file_has_none(tmp_path: Path) -> None:
    """Plain LoRA, as ever."""
    assert read_scales(tmp_path, manager()) == {}


def test_scales_that_the_engine_cannot_apply_are_an_error() -> None:
    """Better no adapter than one that answers with half of its mathematics."""
    lacking = manager(modules={}, lora_config=SimpleNamespace(target_modules=["q_proj"]))
    with pytest.raises(ValueError, match=r"DoRA on .*qkv_proj cannot be served"):
        adapter_loading._check_scales(lacking, {f"{LAYER}.self_attn.qkv_proj": [torch.ones(1)]})


def test_a_prepared_adapter_is_only_entered() -> None:
    """What is left on the engine's loop is one entry in vLLM's table."""
    model = SimpleNamespace(id=7, is_prepared=True)
    entered = SimpleNamespace(_registered_adapters={})
    adapter_loading.add(entered, model)
    assert entered._registered_adapters == {7: model}

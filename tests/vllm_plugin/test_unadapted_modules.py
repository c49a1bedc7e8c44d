"""Adapters of which vLLM would drop a part, told by a model's own layers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.lora.layers import BaseLayerWithLoRA
from vllm.model_executor.models.utils import PPMissingLayer

from lorabay.vllm_plugin.unadapted_modules import check_all_adapted

LAYER = "model.layers.0"
EXPERTS = f"{LAYER}.mlp.experts"


def manager(*, adapted: list[str], plain: list[str], elsewhere: list[str]) -> Any:
    """vLLM's manager of a model with these layers."""
    layers: dict[str, Any] = {name: BaseLayerWithLoRA() for name in adapted}
    layers |= {name: torch.nn.Linear(1, 1) for name in plain}
    layers |= {name: PPMissingLayer() for name in elsewhere}
    packed = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}
    return SimpleNamespace(
        model=SimpleNamespace(named_modules=layers.items),
        modules={name: layers[name] for name in adapted},
        packed_modules_mapping=packed,
    )


ENGINE = manager(
    adapted=[f"{LAYER}.self_attn.qkv_proj", f"{LAYER}.self_attn.o_proj", EXPERTS, "lm_head"],
    plain=["visual.blocks.0.attn.qkv", "visual.blocks.0.mlp.gate_up_proj", "model.norm"],
    elsewhere=["model.layers.1", "model.embed_tokens"],
)


def check(*modules: str) -> None:
    check_all_adapted(ENGINE, SimpleNamespace(loras=dict.fromkeys(modules)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "module",
    [
        f"{LAYER}.self_attn.qkv_proj",
        f"{LAYER}.self_attn.k_proj",
        f"{LAYER}.self_attn.o_proj",
        "lm_head",
        # The weights of experts have names of their own, below the layer that takes them.
        EXPERTS,
        f"{EXPERTS}.base_layer",
        f"{EXPERTS}.7.gate_proj",
        # In another stage of a pipeline.
        "model.layers.1.self_attn.q_proj",
        "model.embed_tokens",
    ],
)
def test_what_the_engine_adapts_passes(module: str) -> None:
    check(module)


@pytest.mark.parametrize("module", ["visual.blocks.0.attn.qkv", "visual.blocks.0.mlp.up_proj"])
def test_what_the_engine_would_drop_is_an_error(module: str) -> None:
    """Also a part of a packed layer, and beside modules that are adapted."""
    with pytest.raises(ValueError, match=f"changes {module}, which this engine does not adapt"):
        check("lm_head", module)


def test_an_adapter_of_many_such_modules_gets_a_short_message() -> None:
    many = manager(adapted=[], plain=[f"visual.{number}" for number in range(9)], elsewhere=[])
    loras = dict.fromkeys(f"visual.{number}" for number in range(9))
    with pytest.raises(ValueError, match=r"visual\.0, visual\.1, visual\.2 and 6 more, which"):
        check_all_adapted(many, SimpleNamespace(loras=loras))  # type: ignore[arg-type]

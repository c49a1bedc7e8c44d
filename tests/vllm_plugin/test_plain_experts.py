"""Experts on a CPU are chosen and computed as if LoRA were off."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from vllm.lora import model_manager
from vllm.model_executor.layers.fused_moe import MoERunner
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.config import (
    FusedMoEConfig,
    FusedMoEParallelConfig,
    RoutingMethodType,
)
from vllm.model_executor.layers.linear import ReplicatedLinear

from lorabay.vllm_plugin import plain_experts


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what is replaced."""
    monkeypatch.setattr(FusedMoEConfig, "__post_init__", FusedMoEConfig.__post_init__)
    name = "is_supported_lora_module"
    monkeypatch.setattr(model_manager, name, getattr(model_manager, name))
    plain_experts.install.cache_clear()
    plain_experts.compute_experts_plainly.cache_clear()


def config() -> FusedMoEConfig:
    return FusedMoEConfig(
        num_experts=4,
        experts_per_token=2,
        hidden_dim=32,
        intermediate_size=32,
        num_local_experts=4,
        num_logical_experts=4,
        activation=MoEActivation.SILU,
        device="cpu",
        routing_method=RoutingMethodType.Renormalize,
        moe_parallel_config=FusedMoEParallelConfig.make_no_parallel(),
        in_dtype=torch.float32,
        is_lora_enabled=True,
    )


def test_kernels_are_chosen_as_without_lora() -> None:
    """vLLM chooses by this field, and its choice beside LoRA runs on no CPU."""
    assert config().is_lora_enabled
    plain_experts.install()
    assert not config().is_lora_enabled


@pytest.mark.parametrize(("kind", "adapted"), [(MoERunner, False), (ReplicatedLinear, True)])
def test_vllms_layer_for_experts_is_left_out(kind: type, adapted: bool) -> None:
    """Every other layer that vLLM adapts is adapted as before."""
    plain_experts.install()
    module: Any = object.__new__(kind)
    found = model_manager.is_supported_lora_module("model.x", module, ["x"])
    assert found == adapted


def test_only_workers_are_changed() -> None:
    """They ask the platform for its kernels before they make a model; others do not."""
    asked: list[str] = []

    class Platform:
        @classmethod
        def register_triton_kernel_overrides(cls) -> None:
            asked.append("overrides")

    plain_experts.compute_experts_plainly(Platform)
    assert config().is_lora_enabled
    Platform.register_triton_kernel_overrides()
    assert asked == ["overrides"]
    assert not config().is_lora_enabled

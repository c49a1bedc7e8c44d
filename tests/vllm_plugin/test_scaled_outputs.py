"""DoRA's factors as plain device operations, which other devices than the CPU use; the operations run here on one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.config.lora import LoRAConfig
from vllm.model_executor.layers.linear import ColumnParallelLinear

from lorabay.vllm_plugin import scaled_outputs
from lorabay.vllm_plugin.scaled_outputs import can_scale, put_scales

SLOTS = 3


@pytest.fixture
def layer(one_rank: None) -> Any:
    """A column-parallel LoRA layer with factors, whose LoRA product adds nothing; rows in slots 0, none, 2."""
    from vllm.lora.layers import ColumnParallelLinearWithLoRA

    made: Any = ColumnParallelLinearWithLoRA(ColumnParallelLinear(4, 6, bias=True, params_dtype=torch.float32))
    create = scaled_outputs._with_factors(lambda *_: None)
    create(made, SLOTS, LoRAConfig(max_lora_rank=8, max_loras=SLOTS))
    made.punica_wrapper = SimpleNamespace(_token_lora_indices=torch.tensor([0, -1, 2, 1, 1]))
    return made


def scaled(layer: Any, output: torch.Tensor) -> torch.Tensor:
    apply = scaled_outputs._scale_first(lambda layer, x, output: output)
    result: torch.Tensor = apply(layer, torch.zeros(output.shape[0], 4), output)
    return result


def test_each_row_is_scaled_by_its_own_adapter(layer: Any) -> None:
    """c * (y - b) + b for the adapter's rows; the others keep their bits, also in a short type."""
    torch.nn.init.normal_(layer.base_layer.bias)
    factor, bias = torch.rand(6) + 0.5, layer.base_layer.bias.detach()
    put_scales({"q": layer}, 2, {"q": factor})
    output = torch.randn(3, 6)
    result = scaled(layer, output)
    torch.testing.assert_close(result[2], factor * (output[2] - bias) + bias)
    assert torch.equal(result[:2], output[:2])
    short = torch.randn(3, 6).bfloat16()
    assert torch.equal(scaled(layer, short)[:2], short[:2])


def test_a_slot_that_is_used_again_forgets_its_factors(layer: Any) -> None:
    """A plain LoRA after a DoRA adapter."""
    put_scales({"q": layer}, 2, {"q": torch.rand(6)})
    put_scales({"q": layer}, 2, {})
    output = torch.randn(3, 6)
    assert torch.equal(scaled(layer, output), output)


def test_only_layers_with_factors_can_scale(layer: Any) -> None:
    """The loader asks before it takes a DoRA version."""
    assert can_scale(layer)
    assert not can_scale(SimpleNamespace())  # type: ignore[arg-type]

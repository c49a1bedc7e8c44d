"""DoRA's factors as plain device operations, which other devices than the CPU use; the operations
run here on one.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.config.lora import LoRAConfig
from vllm.lora.layers import MergedColumnParallelLinearWithLoRA
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.punica_wrapper.punica_base import PunicaWrapperBase
from vllm.model_executor.layers.linear import ColumnParallelLinear, RowParallelLinear

from lorabay.vllm_plugin import scaled_outputs
from lorabay.vllm_plugin.scaled_outputs import can_scale, cut_scales, put_scales

SLOTS = 3


@pytest.fixture
def layer(one_rank: None) -> Any:
    """A column-parallel LoRA layer with factors, whose LoRA product adds nothing; rows in slots 0,
    none, 2.
    """
    from vllm.lora.layers import ColumnParallelLinearWithLoRA

    made: Any = ColumnParallelLinearWithLoRA(
        ColumnParallelLinear(4, 6, bias=True, params_dtype=torch.float32)
    )
    create = scaled_outputs._with_factors(lambda *_: None)
    create(made, SLOTS, LoRAConfig(max_lora_rank=8, max_loras=SLOTS))
    made.punica_wrapper = SimpleNamespace(_token_lora_indices=torch.tensor([0, -1, 2, 1, 1]))
    return made


def put(layer: Any, slot: int, factors: dict[str, torch.Tensor]) -> None:
    put_scales({"q": layer}, slot, cut_scales({"q": layer}, factors))


def scaled(layer: Any, output: torch.Tensor) -> torch.Tensor:
    apply = scaled_outputs._scale_first(lambda layer, x, output: output)
    result: torch.Tensor = apply(layer, torch.zeros(output.shape[0], 4), output)
    return result


def test_each_row_is_scaled_by_its_own_adapter(layer: Any) -> None:
    """c * (y - b) + b for the adapter's rows; the others keep their bits, also in a short type."""
    torch.nn.init.normal_(layer.base_layer.bias)
    factor, bias = torch.rand(6) + 0.5, layer.base_layer.bias.detach()
    put(layer, 2, {"q": factor})
    output = torch.randn(3, 6)
    result = scaled(layer, output)
    torch.testing.assert_close(result[2], factor * (output[2] - bias) + bias)
    assert torch.equal(result[:2], output[:2])
    short = torch.randn(3, 6).bfloat16()
    assert torch.equal(scaled(layer, short)[:2], short[:2])


def test_a_slot_that_is_used_again_forgets_its_factors(layer: Any) -> None:
    """A plain LoRA after a DoRA adapter."""
    put(layer, 2, {"q": torch.rand(6)})
    put(layer, 2, {})
    output = torch.randn(3, 6)
    assert torch.equal(scaled(layer, output), output)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_row_parallel_layer_of_two_ranks_takes_the_whole_factor(
    one_rank: None, rank: int
) -> None:
    """Its inputs are cut, its outputs are not; the bias is put back by the rank that adds it."""
    from vllm.lora.layers import RowParallelLinearWithLoRA

    made: Any = RowParallelLinearWithLoRA(
        RowParallelLinear(4, 6, bias=True, params_dtype=torch.float32)
    )
    made.tp_size, made.tp_rank, made.input_size = 2, rank, 2
    scaled_outputs._with_factors(lambda *_: None)(
        made, SLOTS, LoRAConfig(max_lora_rank=8, max_loras=SLOTS)
    )
    torch.nn.init.ones_(made.base_layer.bias)
    factor = torch.rand(6)
    put(made, 1, {"q": factor})
    assert torch.equal(made.output_factors[1], factor)
    torch.testing.assert_close(made.output_shifts[1], (1 - factor) if rank == 0 else torch.zeros(6))


def test_a_layer_that_another_stage_has_is_passed_over(layer: Any) -> None:
    """With the layers spread over processes, each cuts what is for its own."""
    assert set(cut_scales({"q": layer}, {"q": torch.rand(6), "elsewhere": torch.rand(6)})) == {"q"}


def test_only_layers_with_factors_can_scale(layer: Any) -> None:
    """The loader asks before it takes a DoRA version."""
    assert can_scale(layer)
    assert not can_scale(SimpleNamespace())  # type: ignore[arg-type]


def test_rows_that_no_step_has_written_are_the_bases() -> None:
    """Padding of a first batch, or a tower that runs before any mapping, must not pick factors by
    whatever the memory held.
    """

    def left_as_found(self: Any, rows: int) -> None:
        self._token_lora_indices = torch.full((rows,), 1 << 40)

    wrapper = SimpleNamespace()
    scaled_outputs._with_base_rows(left_as_found)(wrapper, 5)
    assert wrapper._token_lora_indices.tolist() == [-1] * 5


def test_vllms_own_wrapper_begins_with_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of slots that the layers read is made by vLLM's constructor, which is replaced with
    the layers' methods.
    """
    for linear in (BaseLinearLayerWithLoRA, MergedColumnParallelLinearWithLoRA):
        monkeypatch.setattr(linear, "create_lora_weights", linear.create_lora_weights)
    apply = BaseLinearLayerWithLoRA._apply_lora_to_output
    monkeypatch.setattr(BaseLinearLayerWithLoRA, "_apply_lora_to_output", apply)
    monkeypatch.setattr(PunicaWrapperBase, "__init__", PunicaWrapperBase.__init__)
    monkeypatch.setattr(PunicaWrapperBase, "__abstractmethods__", frozenset())
    monkeypatch.setattr(torch, "empty", lambda *size, **_: torch.full(size, 1 << 40))

    scaled_outputs.install.__wrapped__()
    assert PunicaWrapperBase(8, 2, "cpu")._token_lora_indices.tolist() == [-1] * 8


def test_a_row_of_the_base_is_not_scaled(layer: Any) -> None:
    """Slot -1 means factors of one, whatever the slots hold."""
    put(layer, 0, {"q": torch.rand(6)})
    put(layer, SLOTS - 1, {"q": torch.rand(6)})
    layer.punica_wrapper._token_lora_indices.fill_(-1)
    output = torch.randn(4, 6)
    assert torch.equal(scaled(layer, output), output)

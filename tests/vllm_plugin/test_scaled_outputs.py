"""DoRA's factors on their way into the layers' slots; `device.test_scaled_expand` uses them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.config.lora import LoRAConfig
from vllm.lora.layers import ColumnParallelLinearWithLoRA, RowParallelLinearWithLoRA
from vllm.model_executor.layers.linear import ColumnParallelLinear, RowParallelLinear

from lorabay.vllm_plugin import scaled_outputs
from lorabay.vllm_plugin.scaled_outputs import can_scale, cut_scales, put_scales

SLOTS = 3


def with_factors(layer: Any, **options: Any) -> Any:
    """The layer as it is when its weights were created, but for those."""
    create = scaled_outputs._with_factors(lambda *_: None)
    create(layer, SLOTS, LoRAConfig(max_lora_rank=8, max_loras=SLOTS, **options))
    return layer


@pytest.fixture
def layer(one_rank: None) -> Any:
    """A column-parallel LoRA layer over a base with a bias."""
    base = ColumnParallelLinear(4, 6, bias=True, params_dtype=torch.float32)
    torch.nn.init.normal_(base.bias)
    return with_factors(ColumnParallelLinearWithLoRA(base))


def put(layer: Any, slot: int, factors: dict[str, torch.Tensor]) -> None:
    put_scales({"q": layer}, slot, cut_scales({"q": layer}, factors))


def test_an_adapters_factors_are_in_its_slot_alone(layer: Any) -> None:
    """With what keeps the base's bias unscaled: b * (1 - c)."""
    factor = torch.rand(6) + 0.5
    put(layer, 2, {"q": factor})
    assert torch.equal(layer.output_factors[2], factor)
    torch.testing.assert_close(layer.output_shifts[2], layer.base_layer.bias * (1 - factor))
    assert (layer.output_factors[:2] == 1).all()
    assert (layer.output_shifts[:2] == 0).all()


def test_a_slot_that_is_used_again_forgets_its_factors(layer: Any) -> None:
    """A plain LoRA after a DoRA adapter."""
    put(layer, 2, {"q": torch.rand(6)})
    put(layer, 2, {})
    assert (layer.output_factors == 1).all()
    assert (layer.output_shifts == 0).all()


def test_plain_adapters_write_nothing(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that holds ones keeps them: a load of a plain LoRA launches nothing for DoRA."""
    monkeypatch.setattr(layer, "output_factors", None)  # writing would fail
    put(layer, 1, {})


def test_a_layer_without_a_bias_has_no_shifts(one_rank: None) -> None:
    """Nothing is read for them."""
    base = ColumnParallelLinear(4, 6, bias=False, params_dtype=torch.float32)
    made = with_factors(ColumnParallelLinearWithLoRA(base))
    put(made, 0, {"q": torch.rand(6)})
    assert made.output_shifts is None


@pytest.mark.parametrize("rank", [0, 1])
def test_a_row_parallel_layer_of_two_ranks_takes_the_whole_factor(
    one_rank: None, rank: int
) -> None:
    """Its inputs are cut, its outputs are not; the bias is put back by the rank that adds it."""
    made: Any = RowParallelLinearWithLoRA(
        RowParallelLinear(4, 6, bias=True, params_dtype=torch.float32)
    )
    made.tp_size, made.tp_rank, made.input_size = 2, rank, 2
    with_factors(made)
    torch.nn.init.ones_(made.base_layer.bias)
    factor = torch.rand(6)
    put(made, 1, {"q": factor})
    assert torch.equal(made.output_factors[1], factor)
    if rank == 0:
        torch.testing.assert_close(made.output_shifts[1], 1 - factor)
    else:
        assert made.output_shifts is None


def test_scales_beside_a_gpu_lie_in_one_pinned_block(
    layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One allocation an adapter: each stops the device."""
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    factors = {"q": torch.rand(6), "k": torch.rand(6)}
    scales = cut_scales({"q": layer, "k": layer}, factors)
    (block,) = pinned
    assert block.shape == (24,)
    for name, factor in factors.items():
        assert torch.equal(scales[name].factor, factor)
        storage = scales[name].factor.untyped_storage()
        assert storage.data_ptr() == block.untyped_storage().data_ptr()
    assert cut_scales({"q": layer}, {}) == {}


def test_a_layer_that_another_stage_has_is_passed_over(layer: Any) -> None:
    """With the layers spread over processes, each cuts what is for its own."""
    assert set(cut_scales({"q": layer}, {"q": torch.rand(6), "elsewhere": torch.rand(6)})) == {"q"}


def test_only_layers_with_factors_can_scale(layer: Any) -> None:
    """The loader asks before it takes a DoRA version; fully sharded layers compute on their own."""
    assert can_scale(layer)
    assert not can_scale(SimpleNamespace())  # type: ignore[arg-type]
    sharded = with_factors(SimpleNamespace(), fully_sharded_loras=True)
    assert not can_scale(sharded)


@pytest.mark.parametrize("way", ["_scaled", "_scaled_beside"])
def test_a_layer_without_factors_goes_vllms_own_way(way: str) -> None:
    """Fully sharded layers, and whatever was built before."""
    wrapped = getattr(scaled_outputs, way)(lambda layer, x, other: (layer, x, other))
    plain = SimpleNamespace()
    assert wrapped(plain, 1, 2) == (plain, 1, 2)

"""vLLM's LoRA layers at the shapes of an 8B model: rows of base, LoRA and DoRA in one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from lorabay.vllm_plugin import scaled_outputs
from tests.gpu.lora_batch import (
    KINDS,
    Layer,
    forward,
    inputs_for,
    largest_error,
    make_wrapper,
    set_rows,
)

if TYPE_CHECKING:
    from vllm.lora.punica_wrapper.punica_gpu import PunicaWrapperGPU

pytestmark = pytest.mark.usefixtures("one_rank")

BF16_ERROR = 0.02
"""In units of the largest output: one rounding of inputs, of the low-rank product, of outputs."""


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    scaled_outputs.install()


@pytest.fixture(scope="module")
def wrapper(one_rank: None) -> PunicaWrapperGPU:
    return make_wrapper()


@pytest.mark.parametrize("rows", [1, 7, 64, 1024])
@pytest.mark.parametrize("kind", KINDS)
def test_each_row_meets_its_own_adapter(
    wrapper: PunicaWrapperGPU, kind: str, rows: int, figures: list[str]
) -> None:
    """Each row is within bfloat16's error of float64; a base row keeps every bit."""
    layer = Layer(kind, wrapper)
    layer.put(0, seed=1)
    layer.put(1, seed=2, dora=True)
    layer.put(3, seed=3)

    slots = [(-1, 0, 1, 3)[row % 4] for row in range(rows)]
    set_rows(wrapper, slots)
    x = inputs_for(layer, rows)
    result = forward(layer.lora, x)

    error = largest_error(result, layer.expected(x, slots))
    figures.append(f"layers: {kind}, {rows} rows: largest error {error:.1e} of the largest output")
    assert error < BF16_ERROR

    base_rows = [row for row, slot in enumerate(slots) if slot == -1]
    assert torch.equal(result[base_rows], forward(layer.base, x)[base_rows])


@pytest.mark.parametrize("kind", ["qkv_proj", "down_proj"])
def test_the_bias_of_a_base_is_not_scaled(wrapper: PunicaWrapperGPU, kind: str) -> None:
    """It is added back to what DoRA's factor took of it."""
    layer = Layer(kind, wrapper, bias=True)
    layer.put(1, seed=2, dora=True)
    slots = [(-1, 1)[row % 2] for row in range(16)]
    set_rows(wrapper, slots)

    x = inputs_for(layer, 16)
    assert largest_error(forward(layer.lora, x), layer.expected(x, slots)) < BF16_ERROR


@pytest.mark.parametrize("kind", ["qkv_proj", "down_proj"])
def test_two_streams_compute_the_same(wrapper: PunicaWrapperGPU, kind: str) -> None:
    """A's product beside the base's, and the update when both are there; many times."""
    layer = Layer(kind, wrapper)
    layer.put(0, seed=1)
    layer.put(1, seed=2, dora=True)
    slots = [(-1, 0, 1)[row % 3] for row in range(256)]
    set_rows(wrapper, slots)
    layer.lora._events = [torch.cuda.Event(), torch.cuda.Event()]
    layer.lora._lora_stream = torch.cuda.Stream()

    x = inputs_for(layer, 256)
    plain = forward(layer.lora, x)
    for _ in range(50):
        beside = layer.lora._apply_async_impl(x)
        error = largest_error(beside, plain.double())
        assert error < BF16_ERROR  # split sums are added in any order


def test_a_batch_of_base_rows_is_the_base(wrapper: PunicaWrapperGPU) -> None:
    """Adapters in the slots leave requests to the base alone, to the bit."""
    layer = Layer("qkv_proj", wrapper)
    layer.put(0, seed=1, dora=True)
    set_rows(wrapper, [-1] * 9)

    x = inputs_for(layer, 9)
    assert torch.equal(forward(layer.lora, x), forward(layer.base, x))


def test_a_slot_that_is_used_again_forgets(wrapper: PunicaWrapperGPU) -> None:
    """A plain LoRA after a DoRA adapter in the same slot has no factors left of it."""
    layer = Layer("o_proj", wrapper)
    layer.put(2, seed=1, dora=True)
    layer.put(2, seed=2)
    set_rows(wrapper, [2, -1, 2])

    x = inputs_for(layer, 3)
    assert largest_error(forward(layer.lora, x), layer.expected(x, [2, -1, 2])) < BF16_ERROR

"""Rows of a batch that no step has given to an adapter yet, such as the padding of the first."""

from __future__ import annotations

import pytest
import torch

from lorabay.vllm_plugin import scaled_outputs
from tests.gpu.lora_batch import Layer, forward, inputs_for, make_wrapper, set_rows

pytestmark = pytest.mark.usefixtures("one_rank")


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    scaled_outputs.install()


def test_they_are_the_bases() -> None:
    """Whatever the device's memory held: a batch longer than any before is scaled by nothing beyond
    the rows that were written.
    """
    held = torch.full((1 << 20,), 1 << 40, device="cuda")
    del held
    wrapper = make_wrapper()

    layer = Layer("o_proj", wrapper)
    layer.put(0, seed=1, dora=True)
    set_rows(wrapper, [0])
    x = inputs_for(layer, 9)
    result = forward(layer.lora, x)
    torch.cuda.synchronize()
    assert torch.equal(result[1:], forward(layer.base, x)[1:])

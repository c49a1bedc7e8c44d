"""Layers in a compiled graph: one graph for all batches and adapters."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.utils import counters

from lorabay.vllm_plugin import scaled_outputs
from tests.gpu.lora_batch import Layer, forward, inputs_for, largest_error, make_wrapper, set_rows

pytestmark = pytest.mark.usefixtures("one_rank")


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    scaled_outputs.install()


def test_one_graph_serves_every_batch(figures: list[str]) -> None:
    """Rows and adapters change, and nothing is compiled again."""
    torch._dynamo.reset()
    counters.clear()
    wrapper = make_wrapper()
    layer = Layer("gate_up_proj", wrapper)
    layer.put(0, seed=1)
    layer.put(1, seed=2, dora=True)
    compiled = torch.compile(lambda x: forward(layer.lora, x), fullgraph=True, dynamic=True)

    for rows in (7, 64, 4096, 33):
        slots = [(-1, 0, 1)[row % 3] for row in range(rows)]
        set_rows(wrapper, slots)
        x = inputs_for(layer, rows, seed=rows)
        assert largest_error(compiled(x), layer.expected(x, slots)) < 0.02

    graphs = counters["stats"]["unique_graphs"]
    figures.append(f"compile: {graphs} graph for batches of 7 to 4,096 rows with DoRA")
    assert graphs == 1

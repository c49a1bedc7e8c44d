"""CUDA graphs hold the operations of LoRA and DoRA, not the adapters or who uses them."""

from __future__ import annotations

import pytest
import torch
from vllm.lora.utils import get_captured_lora_counts

from lorabay.vllm_plugin import scaled_outputs
from lorabay.vllm_plugin.device.adapter_counts import count_batch
from tests.gpu.lora_batch import (
    SLOTS,
    Layer,
    forward,
    inputs_for,
    largest_error,
    lora_config,
    make_wrapper,
    set_rows,
)

pytestmark = pytest.mark.usefixtures("one_rank")

ROWS = 32


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    scaled_outputs.install()


def test_a_replay_follows_slots_and_rows() -> None:
    """A graph that was captured once is right for other adapters in the slots and other rows."""
    wrapper = make_wrapper()
    layer = Layer("gate_up_proj", wrapper)
    layer.put(0, seed=1)
    first = [(-1, 0)[row % 2] for row in range(ROWS)]
    set_rows(wrapper, first)

    x = inputs_for(layer, ROWS)
    forward(layer.lora, x)  # compiles the kernels, which a capture must not do
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = forward(layer.lora, x)

    layer.put(0, seed=5, dora=True)
    layer.put(3, seed=6)
    second = [(3, 0, -1)[row % 3] for row in range(ROWS)]
    set_rows(wrapper, second)
    x.copy_(inputs_for(layer, ROWS, seed=9))
    graph.replay()
    torch.cuda.synchronize()

    assert largest_error(output, layer.expected(x, second)) < 0.02
    assert torch.equal(output, forward(layer.lora, x))


def rows_of_capture(count: int) -> list[int]:
    """The slots of the rows that a graph for a count is captured with, as the plugin has them."""
    if count > SLOTS:
        return [row % (SLOTS + 1) - 1 for row in range(ROWS)]
    return [row % count for row in range(ROWS)]


@pytest.mark.parametrize("adapters", [1, 2, 3, 4])
def test_a_graph_for_a_count_of_adapters_serves_them_all(adapters: int, figures: list[str]) -> None:
    """The option `specialize_active_lora` captures one graph for each count of adapters.

    Rows of the base count as one more, so that no adapter loses its rows beside them.
    """
    config = lora_config(specialize_active_lora=True)
    wrapper = make_wrapper(config)
    layer = Layer("o_proj", wrapper)
    for slot in range(SLOTS):
        layer.put(slot, seed=slot + 1, dora=slot % 2 == 1)

    count = count_batch(adapters, has_base_rows=True)
    captured = next(case for case in get_captured_lora_counts(SLOTS, True) if case >= count)
    set_rows(wrapper, rows_of_capture(captured))
    x = inputs_for(layer, ROWS)
    forward(layer.lora, x)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = forward(layer.lora, x)

    mixed = [-1 if row % 5 == 0 else row % adapters for row in range(ROWS)]
    set_rows(wrapper, mixed)
    x.copy_(inputs_for(layer, ROWS, seed=9))
    graph.replay()
    torch.cuda.synchronize()

    error = largest_error(output, layer.expected(x, mixed))
    figures.append(
        f"counts: {adapters} adapters and the base by the graph for {captured}: largest error "
        f"{error:.1e} of the largest output"
    )
    assert error < 0.02
    assert torch.equal(output[::5], forward(layer.base, x)[::5])

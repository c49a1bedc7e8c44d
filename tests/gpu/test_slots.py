"""What putting an adapter into a slot costs, and what DoRA and LoRA add to a step.

Nothing is asserted of times: the lines go to the report of figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from lorabay.vllm_plugin import scaled_outputs
from tests.gpu.lora_batch import KINDS, Layer, forward, inputs_for, make_wrapper, set_rows

pytestmark = pytest.mark.usefixtures("one_rank")

LAYERS = 32
LLAMA = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    scaled_outputs.install()


def median_ms(work: Callable[[], object], rounds: int = 20) -> float:
    """Return the median milliseconds of `work` on the device, after three rounds that warm up."""
    times = []
    for number in range(rounds + 3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if number >= 3:
            times.append(1000 * (time.perf_counter() - start))

    return sorted(times)[len(times) // 2]


def test_the_time_of_one_activation(figures: list[str]) -> None:
    """An adapter of rank 16 on all linear modules of 32 layers goes into a slot of each."""
    wrapper = make_wrapper()
    layers = [Layer(kind, wrapper) for kind in LLAMA]
    weights = []
    for layer in layers:
        layer.put(0, seed=1)
        a, b = layer.factors[0]
        widths = KINDS[layer.kind][1]
        pinned_a = [part.cpu().pin_memory() for part in a]
        pinned_b = [part.cpu().pin_memory() for part in b.split(widths)]
        packed = len(widths) > 1
        weights.append((layer.lora, pinned_a if packed else pinned_a[0],
                        pinned_b if packed else pinned_b[0]))  # fmt: skip

    def activate() -> None:
        for _ in range(LAYERS):
            for lora, a, b in weights:
                lora.set_lora(1, a, b)

    megabytes = LAYERS * sum(
        part.numel() * part.element_size() for layer in layers for part in layer.factors[0]
    ) / 1e6  # fmt: skip
    block = torch.empty(int(megabytes * 1e6), dtype=torch.uint8).pin_memory()
    target = torch.empty_like(block, device="cuda")

    by_parts = median_ms(activate)
    in_one = median_ms(lambda: target.copy_(block, non_blocking=True))
    figures.append(
        f"slots: one activation of {megabytes:.0f} MB: {by_parts:.1f} ms as vLLM does it, "
        f"{in_one:.1f} ms as one copy of one pinned block"
    )
    assert by_parts > 0


@pytest.mark.parametrize("rows", [1, 16, 64, 256, 4096])
def test_the_time_of_a_step(rows: int, figures: list[str]) -> None:
    """The four linear modules of a layer: without LoRA, with LoRA, with DoRA in every row."""
    wrapper = make_wrapper()
    layers = [Layer(kind, wrapper) for kind in LLAMA]
    batches = [inputs_for(layer, rows) for layer in layers]
    for layer in layers:
        for slot in range(4):
            layer.put(slot, seed=slot, dora=True)
    set_rows(wrapper, [row % 4 for row in range(rows)])

    def run(pick: Callable[[Layer], object]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        for layer, x in zip(layers, batches, strict=True):
            forward(pick(layer), x)
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            for layer, x in zip(layers, batches, strict=True):
                forward(pick(layer), x)
        return graph.replay

    base = median_ms(run(lambda layer: layer.base))
    dora = median_ms(run(lambda layer: layer.lora))
    kept = [(layer.lora, layer.lora.output_factors) for layer in layers]
    for lora, _ in kept:
        del lora.output_factors
    plain = median_ms(run(lambda layer: layer.lora))
    for lora, factors in kept:
        lora.output_factors = factors

    figures.append(
        f"step: {rows} rows over 4 adapters, one layer: base {base:.3f} ms, LoRA {plain:.3f} ms, "
        f"DoRA {dora:.3f} ms"
    )
    assert dora > 0

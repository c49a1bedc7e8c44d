"""Long prompts in tiles, beside what vectors make of them. The mathematics: test_apply_lora.py."""

from __future__ import annotations

import pytest
import torch

from lorabay.vllm_plugin.apply_lora import RowKernel, add_update
from lorabay.vllm_plugin.batch_rows import BatchRows
from lorabay.vllm_plugin.kernel import tiles
from lorabay.vllm_plugin.module_slots import ModuleWeights
from tests.vllm_plugin.updates import filled_slots, random_weights

pytestmark = pytest.mark.skipif(
    not tiles.are_available(), reason="this processor multiplies no tiles (AMX)"
)

INPUTS, WIDTHS = 576, [200, 64]


def update(rows: list[int], rank: int, threads: int, *, in_tiles: bool) -> torch.Tensor:
    """What two adapters add to the outputs of random rows."""
    make = torch.Generator().manual_seed(7)
    weights = [
        ModuleWeights.lay_out(*random_weights(INPUTS, WIDTHS, rank, seed), torch.bfloat16)
        for seed in range(2)
    ]
    slots = filled_slots(INPUTS, WIDTHS, weights, torch.bfloat16)
    x = torch.randn(len(rows), INPUTS, generator=make).bfloat16()
    y = torch.zeros(len(rows), sum(WIDTHS)).bfloat16()

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        batch = BatchRows(torch.tensor(rows).numpy(), tiles=in_tiles)
        assert bool(len(batch.long_panels)) is in_tiles
        add_update(y, x, slots, batch, RowKernel())
    finally:
        torch.set_num_threads(before)
    return y


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("rank", [4, 16, 24, 64])
def test_tiles_make_what_vectors_make(rank: int, threads: int) -> None:
    """But for the order of sums, which the last bit may show."""
    rows = [0] * 300 + [1] * 17 + [-1] * 3 + [1]
    expected = update(rows, rank, threads, in_tiles=False)
    torch.testing.assert_close(
        update(rows, rank, threads, in_tiles=True), expected, rtol=2e-2, atol=2e-2
    )


def test_matmuls_are_right_after_it() -> None:
    """oneDNN finds this thread's tiles as it has left them."""
    a, b = torch.randn(64, 256).bfloat16(), torch.randn(256, 128).bfloat16()
    expected = a @ b
    update([0] * 64, 24, 2, in_tiles=True)
    assert torch.equal(a @ b, expected)

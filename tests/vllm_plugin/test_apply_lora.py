"""The adapters' updates of a module against a float64 reference of the mathematics."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from lorabay.vllm_plugin.apply_lora import RowKernel, add_by_matmuls, add_looked_up, add_update
from lorabay.vllm_plugin.batch_rows import BatchRows
from lorabay.vllm_plugin.kernel import row_kernel
from lorabay.vllm_plugin.kernel.arguments import LONG_PANEL, PANEL
from lorabay.vllm_plugin.module_slots import ModuleSlots, ModuleWeights
from tests.examples import examples
from tests.vllm_plugin.updates import filled_slots, long_reference, random_weights, reference

SLOTS = 4
KERNEL = RowKernel()
NAN = float("nan")


def updated(y: torch.Tensor, x: torch.Tensor, slots: ModuleSlots, rows: list[int]) -> torch.Tensor:
    result = y.clone()
    tiles = row_kernel.multiplies_tiles(y.dtype)
    add_update(result, x, slots, BatchRows(torch.tensor(rows).numpy(), tiles=tiles), KERNEL)
    return result


def weights_of(
    inputs: int, widths: list[int], ranks: list[int], dtype: torch.dtype, scaled: bool
) -> list[ModuleWeights]:
    return [
        ModuleWeights.lay_out(
            *random_weights(inputs, widths, rank, seed, scaled=scaled and seed % 2 == 0), dtype
        )
        for seed, rank in enumerate(ranks)
    ]


rows_of_slots = st.lists(st.integers(-1, SLOTS - 1), min_size=1, max_size=20)
ranks_of_slots = st.lists(st.integers(1, 19), min_size=SLOTS, max_size=SLOTS)
types = st.sampled_from([torch.float32, torch.bfloat16, torch.float16])


@given(
    rows=rows_of_slots,
    ranks=ranks_of_slots,
    inputs=st.integers(1, 70),
    widths=st.lists(st.integers(1, 150), min_size=1, max_size=3),
    dtype=types,
    scaled=st.booleans(),
)
@settings(max_examples=examples(150))
def test_every_row_gets_its_own_adapters_update(
    rows: list[int],
    ranks: list[int],
    inputs: int,
    widths: list[int],
    dtype: torch.dtype,
    scaled: bool,
) -> None:
    """In every slice, at every rank, in every order of rows; rows without an adapter keep their
    bits.
    """
    weights = weights_of(inputs, widths, ranks, dtype, scaled)
    x, y = torch.randn(len(rows), inputs).to(dtype), torch.randn(len(rows), sum(widths)).to(dtype)
    result = updated(y, x, filled_slots(inputs, widths, weights, dtype), rows)
    expected = reference(y, x, widths, weights, rows)
    # As good as a matmul of this type: a few roundings of the largest value in sight.
    tolerance = 8 * torch.finfo(dtype).eps * float(expected.abs().max().clamp(min=1))
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=tolerance)
    base_rows = [row for row, slot in enumerate(rows) if slot < 0]
    assert torch.equal(result[base_rows], y[base_rows])


@given(
    runs=st.lists(
        st.tuples(st.integers(-1, SLOTS - 1), st.integers(1, 2 * LONG_PANEL + 20)),
        min_size=1,
        max_size=5,
    ),
    ranks=st.lists(st.sampled_from([1, 4, 8, 16, 20, 32, 40, 64]), min_size=SLOTS, max_size=SLOTS),
    inputs=st.sampled_from([32, 40, 96, 512, 544, 1056]),
    widths=st.lists(st.integers(1, 150), min_size=1, max_size=3),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    scaled=st.booleans(),
)
@settings(max_examples=examples(60))
def test_long_prompts_get_their_own_adapters_updates(
    runs: list[tuple[int, int]],
    ranks: list[int],
    inputs: int,
    widths: list[int],
    dtype: torch.dtype,
    scaled: bool,
) -> None:
    """Also where whole tiles are multiplied, and where the last of them is not full."""
    rows = [slot for slot, count in runs for _ in range(count)]
    weights = weights_of(inputs, widths, ranks, dtype, scaled)
    x, y = torch.randn(len(rows), inputs).to(dtype), torch.randn(len(rows), sum(widths)).to(dtype)
    result = updated(y, x, filled_slots(inputs, widths, weights, dtype), rows)
    expected = long_reference(y, x, widths, weights, rows)
    tolerance = 8 * torch.finfo(dtype).eps * float(expected.abs().max().clamp(min=1))
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=tolerance)
    base_rows = [row for row, slot in enumerate(rows) if slot < 0]
    assert torch.equal(result[base_rows], y[base_rows])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("adjacent", [False, True])
def test_many_rows_of_a_slot_and_few_of_another_in_one_batch(
    dtype: torch.dtype, scaled: bool, adjacent: bool
) -> None:
    """A prefill beside decodes: several panels of one, tiles of the others that are not full."""
    rows = [0] * (2 * PANEL + 3) + [1, -1, 2, 2]
    rows = rows if adjacent else rows[::2] + rows[1::2]
    weights = weights_of(40, [24, 8], [16, 4, 1, 2], dtype, scaled)
    x, y = torch.randn(len(rows), 40).to(dtype), torch.randn(len(rows), 32).to(dtype)
    result = updated(y, x, filled_slots(40, [24, 8], weights, dtype), rows)
    expected = reference(y, x, [24, 8], weights, rows)
    tolerance = 8 * torch.finfo(dtype).eps * float(expected.abs().max())
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("poison", [NAN, float("inf")])
def test_what_lies_in_an_unused_slot_never_reaches_a_result(
    dtype: torch.dtype, poison: float
) -> None:
    """A slot that no row of the batch uses may hold anything."""
    weights = weights_of(6, [5], [3, 3, 3, 3], dtype, scaled=False)
    for unused in (0, 2, 3):
        weights[unused].a.fill_(poison)
    slots = filled_slots(6, [5], weights, dtype)
    result = updated(
        torch.zeros(4, 5, dtype=dtype), torch.randn(4, 6).to(dtype), slots, [-1, 1, -1, 1]
    )
    assert torch.isfinite(result).all()
    assert not result[[0, 2]].any()


def test_a_slot_is_used_again_by_an_adapter_with_less() -> None:
    """Fewer slices and a smaller rank than the adapter before: nothing of that one is left."""
    widths = [8, 4, 4]
    slots = ModuleSlots(6, widths, 1, torch.float32)
    slots.put(
        0, ModuleWeights.lay_out(*random_weights(6, widths, 16, 1, scaled=True), torch.float32)
    )
    smaller = ModuleWeights.lay_out(*random_weights(6, widths, 2, 2, missing=1), torch.float32)
    slots.put(0, smaller)
    x, y = torch.randn(2, 6), torch.randn(2, 16)
    expected = reference(y, x, widths, [smaller], [0, 0])
    torch.testing.assert_close(
        updated(y, x, slots, [0, 0]).double(), expected, rtol=1e-5, atol=1e-5
    )
    slots.clear(0)
    assert torch.equal(updated(y, x, slots, [0, 0]), y)


def test_a_slot_without_this_module_is_left_alone() -> None:
    """An adapter need not touch every module; its rows pass."""
    weights = weights_of(6, [5], [3], torch.float32, scaled=False)
    slots = filled_slots(6, [5], [weights[0], None], torch.float32)
    x, y = torch.randn(3, 6), torch.randn(3, 5)
    result = updated(y, x, slots, [1, 0, 1])
    assert torch.equal(result[[0, 2]], y[[0, 2]])
    assert not torch.equal(result[1], y[1])


def test_weights_of_another_type_than_the_base() -> None:
    """`lora_dtype` may be wider than the model's type."""
    weights = weights_of(16, [8], [4, 4], torch.float32, scaled=True)
    x, y = torch.randn(3, 16).bfloat16(), torch.randn(3, 8).bfloat16()
    result = updated(y, x, filled_slots(16, [8], weights, torch.float32), [0, 1, -1])
    torch.testing.assert_close(
        result.double(), reference(y, x, [8], weights, [0, 1, -1]), rtol=0, atol=0.1
    )


def test_rows_that_are_no_block_of_memory() -> None:
    """A layer may hand in columns of a wider tensor, or every other row of one."""
    weights = weights_of(6, [5], [3], torch.float32, scaled=False)
    slots = filled_slots(6, [5], weights, torch.float32)
    x, y = torch.randn(4, 20)[::2, 3:9], torch.randn(2, 9)[:, 2:7]
    expected = reference(y, x, [5], weights, [0, 0])
    add_update(y, x, slots, BatchRows(torch.tensor([0, 0]).numpy()), KERNEL)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    turned = torch.randn(6, 2).t()
    expected = reference(y, turned, [5], weights, [0, 0])
    add_update(y, turned, slots, BatchRows(torch.tensor([0, 0]).numpy()), KERNEL)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_batch_that_is_longer_than_the_output_is_an_error() -> None:
    """Rows beyond the output would be written into somebody else's memory."""
    slots = filled_slots(
        6, [5], weights_of(6, [5], [3], torch.float32, scaled=False), torch.float32
    )
    with pytest.raises(IndexError, match="3 rows"):
        updated(torch.zeros(2, 5), torch.zeros(2, 6), slots, [0, 0, 0])


@pytest.mark.parametrize("columns", [9, 7, 12])
def test_a_head_narrower_or_wider_than_the_weights(columns: int) -> None:
    """Logits may be cut to the vocabulary or padded beyond it."""
    (weights,) = weights_of(4, [9], [2], torch.bfloat16, scaled=False)
    slots = filled_slots(4, [9], [weights], torch.bfloat16)
    x, y = torch.randn(2, 4).bfloat16(), torch.zeros(2, columns)
    add_by_matmuls(y, x, slots, BatchRows(torch.tensor([0, -1]).numpy()))
    expected = reference(torch.zeros(2, 9), x, [9], [weights], [0, -1])
    width = min(columns, 9)
    torch.testing.assert_close(y[:, :width].double(), expected[:, :width], rtol=0, atol=0.1)
    assert not y[:, width:].any()


def test_embeddings_add_what_the_token_ids_look_up() -> None:
    """y[row] += B A[:, id], for rows with an adapter alone."""
    (weights,) = weights_of(11, [5], [3], torch.float32, scaled=False)
    ids, y = torch.tensor([10, 0, 7]), torch.zeros(3, 5)
    add_looked_up(
        y,
        ids,
        filled_slots(11, [5], [weights], torch.float32),
        BatchRows(torch.tensor([0, -1, 0]).numpy()),
    )
    one_hot = torch.nn.functional.one_hot(ids, 11).float()
    torch.testing.assert_close(
        y.double(),
        reference(torch.zeros(3, 5), one_hot, [5], [weights], [0, -1, 0]),
        rtol=1e-5,
        atol=1e-5,
    )

"""The order of an adapter's matrices in its block."""

from __future__ import annotations

import gc

import torch

from lorabay.vllm_plugin.device_slots.adapter_blocks import Segment, lay_out
from lorabay.vllm_plugin.device_slots.host_arena import HostArena
from lorabay.vllm_plugin.device_slots.slot_stacks import Stack

RANK, INPUTS, OUTPUTS = 4, 6, 5
STACKS = (
    Stack(torch.zeros(2, 1, RANK, INPUTS), is_tall=False),
    Stack(torch.zeros(2, 1, OUTPUTS, RANK), is_tall=True),
) * 2


def parts_of_rank(rank: int) -> dict[int, torch.Tensor]:
    """Matrices of the second, third and fourth stack; the first one has only zeros."""
    parts = {number: torch.zeros(stack.shape) for number, stack in enumerate(STACKS)}
    for number in (1, 3):
        parts[number][:, :rank] = number
    parts[2][:rank] = 2
    return parts


def test_a_comes_before_b_and_zeros_are_left_out() -> None:
    """Nothing beyond the adapter's rank is held."""
    arena = HostArena(4096, pinned=False)
    block = lay_out(STACKS, parts_of_rank(2), 2, segment_values=1000, arena=arena)
    assert block.layout.segments == (Segment((2,), (1, 3)),)
    assert block.layout.numbers == {1, 2, 3}
    assert block.values.tolist() == [2] * 2 * INPUTS + [1] * OUTPUTS * 2 + [3] * OUTPUTS * 2


def test_what_does_not_fit_into_the_devices_memory_comes_in_segments() -> None:
    """By what they take in a slot; a matrix is never cut."""
    arena = HostArena(4096, pinned=False)
    block = lay_out(STACKS, parts_of_rank(1), 1, segment_values=44, arena=arena)
    assert block.layout.segments == (Segment((2,), (1,)), Segment((), (3,)))
    assert block.values.tolist() == [2] * INPUTS + [1] * OUTPUTS + [3] * OUTPUTS


def test_equal_layouts_are_one_key() -> None:
    """What is looked up for one adapter serves all like it."""
    arena = HostArena(4096, pinned=False)
    one, other = (
        lay_out(STACKS, parts_of_rank(2), 2, segment_values=1000, arena=arena).layout
        for _ in range(2)
    )
    assert hash(one) == hash(other)
    assert one == other


def test_a_forgotten_block_gives_its_memory_back() -> None:
    arena = HostArena(1, pinned=False)
    block = lay_out(STACKS, parts_of_rank(4), 4, segment_values=1000, arena=arena)
    size, place = arena.size, block.values.data_ptr()
    del block
    gc.collect()
    block = lay_out(STACKS, parts_of_rank(4), 4, segment_values=1000, arena=arena)
    assert block.values.data_ptr() == place
    assert arena.size == size

"""What is written into a slot, and when; `test_device_slots` compares it with what vLLM writes."""

from __future__ import annotations

import torch

from lorabay.vllm_plugin.device_slots.adapter_blocks import AdapterBlock, lay_out
from lorabay.vllm_plugin.device_slots.host_arena import HostArena
from lorabay.vllm_plugin.device_slots.slot_stacks import Stack
from lorabay.vllm_plugin.device_slots.slot_writer import SlotWriter

RANK, INPUTS, OUTPUTS = 4, 6, 5


def stacks() -> tuple[Stack, ...]:
    """A and B of two layers with two slots, full of what was there before."""
    return (
        Stack(torch.full((2, 1, RANK, INPUTS), 9.0), is_tall=False),
        Stack(torch.full((2, 1, OUTPUTS, RANK), 9.0), is_tall=True),
        Stack(torch.full((2, 1, RANK, INPUTS), 9.0), is_tall=False),
        Stack(torch.full((2, 1, OUTPUTS, RANK), 9.0), is_tall=True),
    )


def block_of(own: tuple[Stack, ...], rank: int, segment_values: int) -> AdapterBlock:
    parts = {number: torch.zeros(stack.shape) for number, stack in enumerate(own[:2])}
    parts[0][:rank] = 1
    parts[1][:, :rank] = 2
    arena = HostArena(4096, pinned=False)
    return lay_out(own, parts, rank, segment_values=segment_values, arena=arena)


def test_the_whole_slot_is_written_and_no_other() -> None:
    """Zeros beyond the rank, and in modules that the adapter leaves alone."""
    own = stacks()
    writer = SlotWriter(own)
    writer.write(1, block_of(own, 3, writer.segment_values), lambda: None)
    a, b, other_a, other_b = (stack.part(1) for stack in own)
    assert a[:3].eq(1).all()
    assert a[3:].eq(0).all()
    assert b[:, :3].eq(2).all()
    assert b[:, 3:].eq(0).all()
    assert other_a.eq(0).all()
    assert other_b.eq(0).all()
    assert all(stack.part(0).eq(9).all() for stack in own)


def test_the_slot_is_left_alone_until_the_steps_are_over() -> None:
    """The weights may be on their way before that; an adapter of no module waits, too."""
    own = stacks()
    writer = SlotWriter(own)
    empty = lay_out(own, {}, 1, segment_values=100, arena=HostArena(64, pinned=False))
    seen: list[bool] = []
    for slot, block in ((0, block_of(own, 2, 30)), (1, empty)):
        writer.write(
            slot,
            block,
            lambda slot=slot: seen.append(all(bool(s.part(slot).eq(9).all()) for s in own)),
        )
    assert seen == [True, True]
    assert all(stack.part(1).eq(0).all() for stack in own)


def test_incoming_weights_need_no_more_memory_than_a_slot() -> None:
    """Nor than a segment, where a slot is larger."""
    own = stacks()
    writer = SlotWriter(own)
    assert writer._incoming.numel() == 2 * RANK * (INPUTS + OUTPUTS)
    assert writer._wide.numel() == 2 * RANK * OUTPUTS

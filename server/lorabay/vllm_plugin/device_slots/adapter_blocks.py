"""An adapter as one block of the host's memory, in the order in which a slot takes it.

    segment 0                                        segment 1
    | A0 | A1 | ... | B0 | B1 | ...                  | A7 | ...

Each A has the adapter's rank of rows, each B that many columns: what a slot has beyond that is
filled up on the device, so that an adapter of a low rank costs no more memory and no longer copy
for the others' sake. All B of a segment lie one below the other, as one matrix. A segment is what
fits into the device's memory for incoming weights. Matrices of zeros are left out.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from lorabay.vllm_plugin.device_slots.host_arena import HostArena, Piece
from lorabay.vllm_plugin.device_slots.slot_stacks import Stack
from lorabay.vllm_plugin.device_slots.timelines import Mark


@dataclass(frozen=True, slots=True)
class Segment:
    """Stacks whose matrices are copied together, by their numbers: A and the like, then B."""

    flat: tuple[int, ...]
    tall: tuple[int, ...]


@dataclass(frozen=True)
class BlockLayout:
    """Which stacks a block has matrices for, and of which rank. Equal layouts are one key."""

    segments: tuple[Segment, ...]
    rank: int

    @cached_property
    def numbers(self) -> frozenset[int]:
        """The numbers of all stacks that the block has a matrix for."""
        return frozenset(
            number for segment in self.segments for number in (*segment.flat, *segment.tall)
        )


class AdapterBlock:
    """One adapter's matrices, until it is forgotten: then its memory goes back to the arena."""

    def __init__(
        self, layout: BlockLayout, piece: Piece, dtype: torch.dtype, arena: HostArena
    ) -> None:
        self.layout = layout
        self.values = piece.memory.view(dtype)
        self._piece = piece
        weakref.finalize(self, arena.give_back, piece)

    def read_until(self, mark: Mark) -> None:
        """Keep the memory until the device has come past `mark`, which is behind its last copy."""
        self._piece.read_until = mark


def lay_out(
    stacks: Sequence[Stack],
    parts: Mapping[int, torch.Tensor],
    rank: int,
    *,
    segment_values: int,
    arena: HostArena,
) -> AdapterBlock:
    """Copy an adapter's matrices of `rank` into a block.

    `parts` are whole matrices by their stacks' numbers, zeros beyond the rank, as slots have them.
    """
    touched = [number for number, part in sorted(parts.items()) if bool(part.any())]
    layout = BlockLayout(_segments(stacks, touched, segment_values), rank)

    kept = [
        _kept(stacks[number], parts[number], rank)
        for segment in layout.segments
        for number in (*segment.flat, *segment.tall)
    ]
    dtype = stacks[0].tensor.dtype
    size = sum(matrix.numel() for matrix in kept) * dtype.itemsize
    block = AdapterBlock(layout, arena.take(size), dtype, arena)

    first = 0
    for matrix in kept:
        last = first + matrix.numel()
        block.values[first:last].view(matrix.shape).copy_(matrix)
        first = last
    return block


def kept_shape(stack: Stack, rank: int) -> tuple[int, int]:
    """Return rows and columns of what a block of `rank` has of a stack's matrix."""
    rows, columns = stack.shape
    return (rows, min(rank, columns)) if stack.is_tall else (min(rank, rows), columns)


def _kept(stack: Stack, part: torch.Tensor, rank: int) -> torch.Tensor:
    rows, columns = kept_shape(stack, rank)
    return part[:rows, :columns]


def _segments(
    stacks: Sequence[Stack], touched: Sequence[int], segment_values: int
) -> tuple[Segment, ...]:
    """Cut stacks into segments of at most so many values in a slot, or of a single stack."""
    groups: list[list[int]] = []
    filled = 0
    for number in touched:
        rows, columns = stacks[number].shape
        filled += rows * columns
        if not groups or filled > segment_values:
            groups.append([])
            filled = rows * columns
        groups[-1].append(number)

    return tuple(
        Segment(
            flat=tuple(number for number in group if not stacks[number].is_tall),
            tall=tuple(number for number in group if stacks[number].is_tall),
        )
        for group in groups
    )

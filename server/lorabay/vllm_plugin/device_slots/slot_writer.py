"""Writes a block into a slot: of each segment one copy to the device, then a few operations there.

    block (host) --copy--> incoming --A--> the slot's A, first rows
                                    --B--> widened, to the slot's rank --> the slot's B
    everything else of the slot <-- zeros

Afterwards the slot holds exactly what vLLM's own `set_lora` and `reset_lora` would have left there.
The memory for incoming weights is made once. The tensors that an operation is given are looked up
once for each layout and slot: there are hundreds of them, and making them takes longer than to
start the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch

from lorabay.vllm_plugin.device_slots.adapter_blocks import (
    AdapterBlock,
    BlockLayout,
    Segment,
    kept_shape,
)
from lorabay.vllm_plugin.device_slots.slot_stacks import Stack

SEGMENT_BYTES = 128 << 20
"""Most that a segment takes in a slot, so that incoming weights need no memory like a slot of a
high rank. An adapter of rank 16 for an 8B base fits."""

PLANS_KEPT = 256


@dataclass(frozen=True, slots=True)
class _SegmentPlan:
    """What to copy where. `end` is the number of values in the block."""

    size: int
    flat: tuple[list[torch.Tensor], list[torch.Tensor]]
    """The slot's A, and where each comes in."""
    tall: tuple[list[torch.Tensor], list[torch.Tensor]]
    """The slot's B, and where each lies as wide as it."""
    narrow: torch.Tensor | None
    wide: torch.Tensor | None
    """All B as they come in, and as wide as in the slot; None if they come in like that."""


@dataclass(frozen=True, slots=True)
class _Plan:
    segments: tuple[_SegmentPlan, ...]
    zeros: list[torch.Tensor]
    """Parts of the slot that the block has nothing for."""


class SlotWriter:
    """Writes blocks into slots of `stacks`, which all have the same type and device."""

    def __init__(self, stacks: Sequence[Stack]) -> None:
        self._stacks = stacks
        first = stacks[0].tensor
        sizes = [rows * columns for rows, columns in (stack.shape for stack in stacks)]
        self.segment_values = min(sum(sizes), max(SEGMENT_BYTES // first.dtype.itemsize, *sizes))
        tall = sum(size for stack, size in zip(stacks, sizes, strict=True) if stack.is_tall)

        # Plain tensors, wherever they are made: steps run in inference mode, and loads do not.
        with torch.inference_mode(mode=False):
            self._incoming = first.new_empty(self.segment_values)
            self._wide = first.new_empty(min(self.segment_values, tall))
        self._plan = lru_cache(PLANS_KEPT)(self._make_plan)

    @torch.no_grad()
    def write(self, slot: int, block: AdapterBlock, before_slot: Callable[[], None]) -> None:
        """Make `slot` hold a block. `before_slot` is called when the weights are on their way to
        the device, before the slot itself is changed.
        """
        plan = self._plan(block.layout, slot)
        first = 0
        for number, segment in enumerate(plan.segments):
            last = first + segment.size
            self._incoming[: segment.size].copy_(block.values[first:last], non_blocking=True)
            first = last
            if number == 0:
                before_slot()
            self._fill(segment)

        if not plan.segments:
            before_slot()
        if plan.zeros:
            torch._foreach_zero_(plan.zeros)

    def _fill(self, segment: _SegmentPlan) -> None:
        if segment.narrow is not None and segment.wide is not None:
            rank = segment.narrow.shape[1]
            segment.wide[:, :rank].copy_(segment.narrow)
            segment.wide[:, rank:].zero_()
        for targets, sources in (segment.flat, segment.tall):
            if targets:
                torch._foreach_copy_(targets, sources)

    def _make_plan(self, layout: BlockLayout, slot: int) -> _Plan:
        zeros: list[torch.Tensor] = []
        for number, stack in enumerate(self._stacks):
            part = stack.part(slot)
            if number not in layout.numbers:
                zeros.append(part)
            elif not stack.is_tall and layout.rank < stack.rank:
                zeros.append(part[layout.rank :])

        segments = tuple(
            self._plan_segment(segment, layout.rank, slot) for segment in layout.segments
        )
        return _Plan(segments, zeros)

    def _plan_segment(self, segment: Segment, rank: int, slot: int) -> _SegmentPlan:
        flat = [self._stacks[number] for number in segment.flat]
        shapes = [kept_shape(stack, rank) for stack in flat]
        ends = list(accumulate((rows * columns for rows, columns in shapes), initial=0))
        incoming = [
            self._incoming[ends[i] : ends[i + 1]].view(shape) for i, shape in enumerate(shapes)
        ]
        targets = [stack.part(slot)[:rows] for stack, (rows, _) in zip(flat, shapes, strict=True)]
        flat_end = ends[-1]
        if not segment.tall:
            return _SegmentPlan(flat_end, (targets, incoming), ([], []), None, None)

        tall = [self._stacks[number] for number in segment.tall]
        heights = [stack.shape[0] for stack in tall]
        width = tall[0].rank
        columns = min(rank, width)
        size = flat_end + sum(heights) * columns
        narrow = self._incoming[flat_end:size].view(-1, columns)
        comes_wide = columns == width
        wide = narrow if comes_wide else self._wide[: sum(heights) * width].view(-1, width)
        return _SegmentPlan(
            size,
            (targets, incoming),
            ([stack.part(slot) for stack in tall], list(torch.split(wide, heights))),
            None if comes_wide else narrow,
            None if comes_wide else wide,
        )

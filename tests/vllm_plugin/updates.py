"""Random adapters of one module, and the float64 reference of what they do to a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lorabay.vllm_plugin.module_slots import Factors, ModuleSlots, ModuleWeights, OutputScale


def random_weights(
    inputs: int,
    widths: Sequence[int],
    rank: int,
    seed: int,
    *,
    scaled: bool = False,
    missing: int = -1,
) -> tuple[list[Factors | None], list[OutputScale | None]]:
    """A and B of each slice, with DoRA's scales or without; slice `missing` has none."""
    make = torch.Generator().manual_seed(seed)
    factors: list[Factors | None] = []
    scales: list[OutputScale | None] = []
    for i, width in enumerate(widths):
        a = torch.randn(rank, inputs, generator=make) / inputs**0.5
        b = torch.randn(width, rank, generator=make)
        scale = OutputScale(
            torch.rand(width, generator=make) + 0.5, torch.randn(width, generator=make)
        )
        factors.append(None if i == missing else (a, b))
        scales.append(scale if scaled and i != missing else None)
    return factors, scales


def filled_slots(
    inputs: int, widths: Sequence[int], weights: Sequence[ModuleWeights | None], dtype: torch.dtype
) -> ModuleSlots:
    """Slots that hold `weights`, in order; None leaves a slot empty."""
    slots = ModuleSlots(inputs, widths, len(weights), dtype)
    for slot, weight in enumerate(weights):
        if weight is not None:
            slots.put(slot, weight)
    return slots


def reference(
    y: torch.Tensor,
    x: torch.Tensor,
    widths: Sequence[int],
    weights: Sequence[ModuleWeights | None],
    rows: list[int],
) -> torch.Tensor:
    """y * factor + shift + B A x, row by row in float64; a row of slot -1 or of an empty slot stays
    as it is.
    """
    expected = y.double().clone()
    for row, slot in enumerate(rows):
        own = weights[slot] if slot >= 0 else None
        if own is None:
            continue
        offset = 0
        for i, width in enumerate(widths):
            part, b = expected[row, offset : offset + width], own.b[i]
            offset += width
            if b is None:
                continue
            scale = own.scales[i]
            if scale is not None:
                part *= scale.factor.double()
                part += 0 if scale.shift is None else scale.shift.double()
            a = own.a[own.starts[i] : own.starts[i] + own.ranks[i]].double()
            part += (a @ x[row].double()) @ own.layout.unpack_b(b, width).double()
    return expected


def long_reference(
    y: torch.Tensor,
    x: torch.Tensor,
    widths: Sequence[int],
    weights: Sequence[ModuleWeights | None],
    rows: list[int],
) -> torch.Tensor:
    """The same, all rows of a slot at once."""
    expected = y.double().clone()
    for slot, own in enumerate(weights):
        mine = [row for row, used in enumerate(rows) if used == slot]
        if own is None or not mine:
            continue
        offset = 0
        for i, width in enumerate(widths):
            part, b, scale = expected[mine, offset : offset + width], own.b[i], own.scales[i]
            if b is not None:
                a = own.a[own.starts[i] : own.starts[i] + own.ranks[i]].double()
                if scale is not None:
                    part = part * scale.factor.double()
                    part += 0 if scale.shift is None else scale.shift.double()
                update = x[mine].double() @ a.t() @ own.layout.unpack_b(b, width).double()
                expected[mine, offset : offset + width] = part + update
            offset += width
    return expected

"""What the LoRA kernels read of a batch's rows, worked out on the host and sent in one copy.

vLLM sorts and counts rows on the device and asks it for the results, so that the CPU waits for the
step that still runs, whenever the rows of a batch change; before, it goes through the rows one by
one. Here NumPy does all that, and nobody waits. Every buffer keeps its address, so that graphs
hold, and ends up with the same contents as by vLLM's code.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.lora.punica_wrapper.punica_gpu import PunicaWrapperGPU

if TYPE_CHECKING:
    from vllm.lora.layers import LoRAMapping

Numbers = NDArray[np.int64]
Parts = list[tuple[torch.Tensor, Numbers]]
"""Buffers on the device, and what shall stand at the beginning of each."""

BASE = -1
"""The slot of a row without an adapter."""


def install() -> None:
    """Replace the method of vLLM's wrapper for GPUs; idempotent."""
    PunicaWrapperGPU.update_metadata = update_metadata


def update_metadata(
    wrapper: Any,
    mapping: LoRAMapping,
    lora_index_to_id: Sequence[int | None],
    max_loras: int,
    vocab_size: int,
    **kwargs: Any,
) -> None:
    """Take over a batch's mapping of rows to adapters.

    `max_loras` is one more than the number of slots, as vLLM counts here. Raises KeyError for an
    adapter that has no slot.
    """
    tokens = slots_of_rows(mapping.index_mapping, lora_index_to_id)
    sampled = slots_of_rows(mapping.prompt_mapping, lora_index_to_id)
    padded = np.where(sampled == BASE, max_loras - 1, sampled)

    parts: Parts = [
        (wrapper._token_lora_indices, tokens),
        (wrapper._sampler_indices, sampled),
        (wrapper._sampler_indices_padded, np.arange(sampled.size) + padded * sampled.size),
        (wrapper._embeddings_indices, np.maximum(tokens, 0) * vocab_size),
    ]
    parts += _kernel_parts(wrapper.token_mapping_meta, tokens)
    parts += _kernel_parts(wrapper.prompt_mapping_meta, sampled)
    _send(parts)

    wrapper.is_prefill = mapping.is_prefill
    wrapper.indices_len[:] = [tokens.size, sampled.size, sampled.size, tokens.size]


def slots_of_rows(ids: Sequence[int], lora_index_to_id: Sequence[int | None]) -> Numbers:
    """Return the slot of each row, by vLLM's id of its adapter; BASE for an id of 0 or less.

    Raises KeyError for an adapter that has no slot.
    """
    rows = np.array(ids, np.int64)
    known = sorted((lora_id, slot) for slot, lora_id in enumerate(lora_index_to_id) if lora_id)
    table = np.array([(0, BASE), *known], np.int64)

    places = np.searchsorted(table[:, 0], np.maximum(rows, 0))
    places = np.minimum(places, len(table) - 1)
    unknown = (table[places, 0] != rows) & (rows > 0)
    if unknown.any():
        raise KeyError(int(rows[unknown][0]))
    slots: Numbers = table[places, 1]
    return slots


def _kernel_parts(meta: Any, slots: Numbers) -> Parts:
    """Return what vLLM's kernels read of rows in these slots; sets what lies on the host at once.

    The rows of a slot are a group; rows of the base are one, too, in front of all others.
    """
    groups, counts = np.unique(slots, return_counts=True)
    has_adapters = bool((groups != BASE).any())
    meta.no_lora_flag_cpu[0] = not has_adapters
    meta.num_active_loras_cpu[0] = _launches(meta, groups.size) if has_adapters else 0
    if not has_adapters:
        # The kernels return before they read anything else.
        groups = counts = np.empty(0, np.int64)

    parts: Parts = [
        (meta.active_lora_ids, _filled(meta.active_lora_ids, groups, BASE)),
        (meta.num_tokens_per_lora, _filled(meta.num_tokens_per_lora, counts, 0)),
        (
            meta.lora_token_start_loc,
            _filled(meta.lora_token_start_loc, np.concatenate(([0], counts.cumsum())), 0),
        ),
    ]
    if has_adapters:
        parts.append((meta.token_lora_mapping, slots))
        parts.append((meta.token_indices_sorted_by_lora_ids, np.argsort(slots, kind="stable")))
    return parts


def _launches(meta: Any, groups: int) -> int:
    """Return for how many groups kernels are launched: those of the graph that is used."""
    captured = meta.captured_lora_counts
    place = bisect.bisect_left(captured, groups)
    return int(captured[place]) if place < len(captured) else groups


def _filled(buffer: torch.Tensor, values: Numbers, rest: int) -> Numbers:
    """Return `values` for the beginning of a buffer, and `rest` for all behind it."""
    whole = np.full(buffer.numel(), rest, np.int64)
    whole[: values.size] = values
    return whole


def _send(parts: Parts) -> None:
    """Write each part into its buffer: one copy to the device, and one operation a type there."""
    # Longer numbers first, so that all lie at multiples of their size.
    parts = sorted(parts, key=lambda part: -part[0].dtype.itemsize)
    sizes = [values.size * buffer.dtype.itemsize for buffer, values in parts]

    device = parts[0][0].device
    packed = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=device.type == "cuda")
    for (buffer, values), own in zip(parts, torch.split(packed, sizes), strict=True):
        own.view(buffer.dtype).numpy()[:] = values

    # torch keeps the pinned memory from others until the device has read it.
    sent = packed.to(device, non_blocking=True)
    by_type: dict[torch.dtype, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
    for (buffer, values), own in zip(parts, torch.split(sent, sizes), strict=True):
        if values.size:
            targets, sources = by_type.setdefault(buffer.dtype, ([], []))
            targets.append(buffer[: values.size])
            sources.append(own.view(buffer.dtype))

    for targets, sources in by_type.values():
        torch._foreach_copy_(targets, sources)

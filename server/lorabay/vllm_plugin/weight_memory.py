"""One block of memory for all weights of an adapter, in the order in which the modules run.

A step reads every adapter of its batch from beginning to end, more than the caches hold. From one
block in huge pages that is a fifth faster than from hundreds of tensors in pages of 4 KiB, and an
evicted adapter leaves no holes behind. The part that fills no huge page stays in small ones, so
that nothing is held beyond the weights.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import replace

import torch

from lorabay.vllm_plugin.module_slots import ModuleWeights

HUGE_PAGE = 2 << 20
LINE = 64
"""Bytes of a cache line, where each tensor begins."""


def gathered(weights: Sequence[ModuleWeights]) -> list[ModuleWeights]:
    """Return the same weights in one block, which lives as long as any of them."""
    size = sum(_room(tensor) for module in weights for tensor in _tensors(module))
    block = _Block(size)

    moved = []
    for module in weights:
        a = block.take(module.a)
        b = tuple(None if part is None else block.take(part) for part in module.b)
        moved.append(replace(module, a=a, b=b))

    return moved


def _tensors(module: ModuleWeights) -> list[torch.Tensor]:
    return [module.a, *(b for b in module.b if b is not None)]


def _room(tensor: torch.Tensor) -> int:
    return -(-tensor.nbytes // LINE) * LINE


class _Block:
    """Memory that is handed out from its beginning to its end."""

    def __init__(self, size: int) -> None:
        # Pages before the first boundary are never touched, so the system never provides them.
        memory = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._bytes = torch.frombuffer(memory, dtype=torch.uint8)
        self._next = -self._bytes.data_ptr() % HUGE_PAGE
        whole = size - size % HUGE_PAGE
        if whole and hasattr(mmap, "MADV_HUGEPAGE"):
            memory.madvise(mmap.MADV_HUGEPAGE, self._next, whole)

    def take(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a copy of `tensor` in the next part of the block."""
        part = self._bytes[self._next : self._next + tensor.nbytes]
        part = part.view(tensor.dtype).view(tensor.shape)
        self._next += _room(tensor)
        return part.copy_(tensor)

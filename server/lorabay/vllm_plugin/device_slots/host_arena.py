"""Host memory for adapters, from which a GPU copies by itself: made in slabs, handed out in pieces.

Such memory is pinned by the driver, which takes long and holds up whoever starts work on the device
meanwhile. So the first slab is made with the engine, a further one only when all are full, and what
an evicted adapter leaves is used again. Pieces are first fits; neighbours that are free become one.

A piece is given back when its adapter is gone, in whatever thread, but used again only when the
device has read it to its end. Knows nothing of adapters.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import torch

from lorabay.vllm_plugin.device_slots.timelines import Mark

LINE = 256
"""Bytes at whose multiples pieces begin: where a GPU's copies are fastest, and any type may lie."""


@dataclass(slots=True, eq=False)
class _Slab:
    memory: torch.Tensor
    free: list[tuple[int, int]]
    """Beginning and end of each free part, in order; no two of them touch."""

    def take(self, size: int) -> int | None:
        """Return where the first free part of at least `size` began, which is taken."""
        for place, (begin, end) in enumerate(self.free):
            if end - begin < size:
                continue
            if begin + size == end:
                del self.free[place]
            else:
                self.free[place] = (begin + size, end)
            return begin
        return None

    def give_back(self, begin: int, end: int) -> None:
        """Make a part free, one with its free neighbours."""
        before = [part for part in self.free if part[1] < begin]
        behind = [part for part in self.free if part[0] > end]
        for part in self.free[len(before) : len(self.free) - len(behind)]:
            begin, end = min(begin, part[0]), max(end, part[1])
        self.free = [*before, (begin, end), *behind]


@dataclass(slots=True, eq=False)
class Piece:
    """A part of the arena. `read_until` is a mark behind the last work that reads it."""

    memory: torch.Tensor
    read_until: Mark | None = field(default=None, kw_only=True)
    _slab: _Slab = field(kw_only=True)
    _begin: int = field(kw_only=True)
    _end: int = field(kw_only=True)

    @property
    def is_read(self) -> bool:
        """Whether the device may still read it."""
        return self.read_until is not None and not self.read_until.query()


class HostArena:
    """Slabs of `slab_bytes` each, pinned if a GPU shall read them."""

    def __init__(self, slab_bytes: int, *, pinned: bool) -> None:
        self._slab_bytes = _whole_lines(slab_bytes)
        self._pinned = pinned
        self._lock = threading.Lock()
        self._returned: deque[Piece] = deque()
        """Pieces that were given back, until somebody takes one: without a lock, since garbage is
        collected at any moment of any thread."""
        self._slabs = [self._new_slab(self._slab_bytes)]

    @property
    def size(self) -> int:
        """Bytes of all slabs."""
        return sum(slab.memory.nbytes for slab in self._slabs)

    def take(self, size: int) -> Piece:
        """Return a piece of `size` bytes; what it holds is left over from others."""
        length = _whole_lines(max(size, 1))
        with self._lock:
            self._reclaim()
            for slab in self._slabs:
                begin = slab.take(length)
                if begin is not None:
                    break
            else:
                slab, begin = self._new_slab(max(length, self._slab_bytes)), 0
                slab.take(length)
                self._slabs.append(slab)

        memory = slab.memory[begin : begin + size]
        return Piece(memory, _slab=slab, _begin=begin, _end=begin + length)

    def give_back(self, piece: Piece) -> None:
        """Let a piece be used again, once the device has read it."""
        self._returned.append(piece)

    def _reclaim(self) -> None:
        for _ in range(len(self._returned)):
            piece = self._returned.popleft()
            if piece.is_read:
                self._returned.append(piece)
            else:
                piece._slab.give_back(piece._begin, piece._end)

    def _new_slab(self, size: int) -> _Slab:
        memory = torch.empty(size, dtype=torch.uint8, pin_memory=self._pinned)
        return _Slab(memory, [(0, size)])


def _whole_lines(size: int) -> int:
    return -(-size // LINE) * LINE

"""How much batches used each adapter lately: what decides whose slot is given to another one.

A use is a second, or the beginning of one, in which batches hold the adapter. It counts 1, and half
as much after each `HALF_LIFE_S` (least frequently used, with ageing). So an adapter that is asked
for all the time outlasts a run of others that are asked for once. The server chooses in the same
way which adapters stay in memory; this package knows nothing of it. Knows nothing of slots.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

HALF_LIFE_S = 10.0
"""That of the server's choice (`lorabay.serving.popularity`), which says how it was measured."""

USE_S = 1.0

FORGOTTEN = 1e-3
"""A count that is as good as none."""


class SlotPopularity:
    """Counts of uses that fade; `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._batch: frozenset[int] = frozenset()
        self._counts: dict[int, tuple[float, float]] = {}
        """Each count as it was when a use was last counted, and when that was; oldest first."""

    def step(self, batch: Iterable[int]) -> None:
        """Note that the next step computes with the adapters of `batch`."""
        now = self._clock()
        held, self._batch = self._batch, frozenset(batch)
        for lora_id in self._batch:
            _, at = self._counts.get(lora_id, (0.0, 0.0))
            if lora_id not in held or now - at >= USE_S:
                self._count(lora_id, now)

    def of(self, lora_id: int) -> float:
        """Return the count as it has faded by now; 0 for what was not used for long."""
        return self._faded(lora_id, self._clock())

    def _count(self, lora_id: int, now: float) -> None:
        count = 1.0 + self._faded(lora_id, now)
        self._counts.pop(lora_id, None)
        self._counts[lora_id] = (count, now)

        # The newest count is 1 at least.
        while self._faded(oldest := next(iter(self._counts)), now) < FORGOTTEN:
            del self._counts[oldest]

    def _faded(self, lora_id: int, now: float) -> float:
        count, at = self._counts.get(lora_id, (0.0, 0.0))
        return count * math.exp2(-(now - at) / HALF_LIFE_S)

"""The heartbeat of an engine: whether it still takes steps.

The engine is asked for a sign of life every few seconds, and gives it between two of its steps: a
long step delays the answer, an engine that hangs never gives it. Silence is counted in ticks of
this process, so that a machine that slept, or a server that was stopped beside its engine, is not
taken for a hang. Knows nothing of what an engine is made of, or of what is done about one that
hangs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from lorabay.errors import EngineUnavailable

BEAT_S = 2.0
"""Time between an answer and the next question."""

TICK_S = 0.5
"""Longest stretch of silence that is counted at once."""


class Heartbeat:
    """The beats of one engine, from its start on; `beat` returns when the engine has answered.

    The engine counts as lost when it has been silent for `limit_s`.
    """

    def __init__(
        self,
        beat: Callable[[], Awaitable[None]],
        limit_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._beat = beat
        self._clock = clock
        self._pause_s = min(BEAT_S, limit_s / 4)
        self._tick_s = min(TICK_S, limit_s / 8)
        # The engine may have fallen silent right after the last answer.
        self._ticks = round((limit_s - self._pause_s) / self._tick_s)
        self.alive_at = clock()
        """When the last beat was asked for that was answered: whatever the engine was told before,
        it has heard."""

    async def lost(self) -> None:
        """Return once the engine has been silent for too long."""
        while await self._is_answered():
            await asyncio.sleep(self._pause_s)

    async def _is_answered(self) -> bool:
        question = asyncio.create_task(self._ask())
        try:
            for _ in range(self._ticks):
                done, _ = await asyncio.wait({question}, timeout=self._tick_s)
                if done:
                    question.result()
                    return True
            return False
        finally:
            question.cancel()
            await asyncio.wait({question})

    async def _ask(self) -> None:
        asked_at = self._clock()
        # An engine that is gone does not hang: whoever watches for its death hears of it.
        with suppress(EngineUnavailable):
            await self._beat()
            self.alive_at = asked_at

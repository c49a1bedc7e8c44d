"""Follows the compilation of a base that answers meanwhile, and has the engine take the result up.

The compiling is a helper process of vLLM's worker (`lorabay.vllm_plugin.compile_beside`). The
worker is asked at the start, when the helper has ended, and then until the compiled code is in use;
in between nobody disturbs it, since each question makes its processes spin for a second. Knows
nothing of compilers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import psutil
import structlog

from lorabay.serving.engine import Compiled

logger = structlog.get_logger(__name__)

Answer = tuple[str, int | None, str]
"""A worker's answer: the stage, the helper's process id while it runs, why it failed."""

COMPILING, LOADING, DONE = "compiling", "loading", "done"
"""Stages as the plugin names them; any other one is a failure."""

POLL_S = 0.5
"""Time between two looks at the helper process, which nobody else notices."""

LOADING_POLL_S = 0.2
"""Time between two questions while the code is being loaded, which takes a few seconds."""

ASK_ANYWAY_S = 60.0
"""Longest time without a question, in case the helper's process cannot be seen from here."""


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not asked for does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class CompilationWatch:
    """One engine's compilation; `ask` lets the workers go on with it, and returns their answers."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[Sequence[Answer]]],
        *,
        runs: Callable[[int], bool] = is_running,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._runs = runs
        self._sleep = sleep
        self._clock = clock
        self.compiled = Compiled.NO

    async def run(self) -> None:
        """Follow the compilation to its end; raises what `ask` raises."""
        began = self._clock()
        answers = await self._ask()
        if all(stage == DONE for stage, _, _ in answers):
            self.compiled = Compiled.YES
            return

        self.compiled = Compiled.COMPILING
        logger.info(
            "answers come uncompiled for now: the base is compiled beside them, "
            "for one to three minutes; later starts find the code"
        )
        while any(stage in (COMPILING, LOADING) for stage, _, _ in answers):
            await self._until_news([pid for _, pid, _ in answers if pid is not None])
            answers = await self._ask()

        self._end(answers, self._clock() - began)

    async def _until_news(self, helpers: Sequence[int]) -> None:
        """Wait until the helpers have ended; a moment if there is none."""
        if not helpers:
            await self._sleep(LOADING_POLL_S)
            return

        until = self._clock() + ASK_ANYWAY_S
        while any(map(self._runs, helpers)) and self._clock() < until:
            await self._sleep(POLL_S)

    def _end(self, answers: Sequence[Answer], seconds: float) -> None:
        failures = [reason for stage, _, reason in answers if stage != DONE]
        if failures:
            self.compiled = Compiled.NO
            logger.warning("the base stays uncompiled, and slower", reason=failures[0])
            return

        self.compiled = Compiled.YES
        logger.info("the base is compiled", seconds=round(seconds))

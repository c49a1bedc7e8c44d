"""Keeps an engine alive: notices its death, rebuilds it in process, and meanwhile refuses requests
cleanly.

Itself an `Engine`, in front of the real one. The first start may fail and says so; later ones are
tried again with a growing pause, until one works or the server stops. Knows nothing of adapters:
whoever cares is told by callbacks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.errors import EngineUnavailable, LorabayError

if TYPE_CHECKING:
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Answer, AnswerStream, Body, Call, Engine

logger = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""An engine that lived this long starts over with the shortest pause."""
RETRY_AFTER_S = 5.0


async def _nothing() -> None:
    """What follows a recovery when nobody cares."""


class SupervisedEngine:
    """An engine that comes back. `died` and `recovered` are called on the event loop, in that
    order, once a death.

    A death while `recovered` still runs cancels it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        died: Callable[[], None] = lambda: None,
        recovered: Callable[[], Coroutine[Any, Any, None]] = _nothing,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._died = died
        self._recovered = recovered
        self._sleep = sleep
        self._clock = clock
        self._up = False
        self._watch: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """False while the engine starts for the first time or again."""
        return self._up

    @property
    def max_model_len(self) -> int | None:
        """Context length in tokens, once started."""
        return self._engine.max_model_len

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the JSON schema of each call's request body, by the call's name."""
        return self._engine.schemas()

    async def start(self) -> None:
        """Start the engine and watch it from then on."""
        await self._engine.start()
        self._up = True
        self._watch = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Stop watching, then stop the engine."""
        self._up = False
        for task in (self._watch, self._recovery):
            await _cancel(task)
        await self._engine.stop()

    async def died(self) -> None:
        """A supervised engine does not stay dead: never returns."""
        await asyncio.Event().wait()

    def check(self) -> None:
        """Raise EngineUnavailable while the engine is down."""
        if not self._up:
            raise EngineUnavailable(
                "the engine is not up; try again soon", retry_after=RETRY_AFTER_S
            )
        self._engine.check()

    async def _supervise(self) -> None:
        pause_s = 0.0
        while True:
            since = self._clock()
            with _whatever_happens("watch"):
                await self._engine.died()
            self._up = False
            logger.error("engine died")
            await _cancel(self._recovery)
            with _whatever_happens("death"):
                self._died()
            if self._clock() - since > STEADY_S:
                pause_s = 0.0
            pause_s = await self._rebuild(pause_s)
            self._up = True
            logger.info("engine recovered")
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        with _whatever_happens("recovery"):
            await self._recovered()

    async def _rebuild(self, pause_s: float) -> float:
        while True:
            with _whatever_happens("stop"):
                await self._engine.stop()
            await self._sleep(pause_s)
            pause_s = min(max(1.0, 2 * pause_s), LONGEST_PAUSE_S)
            with _whatever_happens("start"):
                try:
                    await self._engine.start()
                except LorabayError as error:
                    logger.error(
                        "engine did not come back", reason=error.message, next_try_s=pause_s
                    )
                else:
                    return pause_s

    async def load(self, version: Version) -> None:
        """Load a version into the engine."""
        self.check()
        await self._engine.load(version)

    async def unload(self, version: Version) -> None:
        """Unload a version from the engine."""
        self.check()
        await self._engine.unload(version)

    async def run(
        self, call: Call, body: Body, version: Version | None, *, request_id: str
    ) -> Answer | AnswerStream:
        """Answer a request."""
        self.check()
        return await self._engine.run(call, body, version, request_id=request_id)


@contextmanager
def _whatever_happens(step: str) -> Iterator[None]:
    """An error that nobody foresaw goes to the log; it must not end what brings the engine back."""
    try:
        yield
    except Exception:
        logger.exception("bug", step=step)


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})

"""An engine that comes back: its deaths are noticed, it is started again in process, and requests
are refused in the meantime.

It is an `Engine` itself, in front of the real one. If the first start fails, it raises. Later
starts are tried again, with a growing pause, until one works or the server stops. Serial: one task
waits for a death, restarts, and waits again. Knows nothing of adapters: callbacks report a death
and a recovery.
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
    from lorabay.serving.engine import Answer, AnswerStream, Body, Call, Engine, Meter, Slots

logger = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 30.0
"""Longest pause before a restart; it doubles from one second on."""

STEADY_S = 60.0
"""An engine that lived this long is restarted at once when it dies."""

RETRY_AFTER_S = 5.0
"""When a client should ask again while the engine is down."""


async def _nothing() -> None:
    """Do nothing: the default for `on_recovery`."""


class SupervisedEngine:
    """An engine that is restarted when it dies.

    `on_death` and `on_recovery` are called on the event loop, in that order, once for each death. A
    death while `on_recovery` still runs cancels it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        on_death: Callable[[], None] = lambda: None,
        on_recovery: Callable[[], Coroutine[Any, Any, None]] = _nothing,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._on_death = on_death
        self._on_recovery = on_recovery
        self._sleep = sleep
        self._clock = clock
        self._up = False
        self._watch: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """True while the engine runs; false during its first start and during each restart."""
        return self._up

    @property
    def max_model_len(self) -> int | None:
        """Context length in tokens, once started."""
        return self._engine.max_model_len

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the JSON schema of each call's request body, by the call's name."""
        return self._engine.schemas()

    def slots(self) -> Slots | None:
        """Return the slots of the engine; None while it is down."""
        return self._engine.slots() if self._up else None

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
        """Never return: a supervised engine does not stay dead."""
        await asyncio.Event().wait()

    def check(self) -> None:
        """Raise EngineUnavailable while the engine is down."""
        if not self._up:
            raise EngineUnavailable(
                "the engine is not up; try again soon", retry_after=RETRY_AFTER_S
            )
        self._engine.check()

    async def load(self, version: Version) -> None:
        """Load a version into the engine."""
        self.check()
        await self._engine.load(version)

    async def unload(self, version: Version) -> None:
        """Unload a version from the engine."""
        self.check()
        await self._engine.unload(version)

    async def run(
        self,
        call: Call,
        body: Body,
        version: Version | None,
        *,
        request_id: str,
        meter: Meter | None = None,
    ) -> Answer | AnswerStream:
        """Answer a request."""
        self.check()
        return await self._engine.run(call, body, version, request_id=request_id, meter=meter)

    async def _supervise(self) -> None:
        """Wait for a death and bring the engine back, again and again."""
        pause_s = 0.0
        while True:
            up_since = self._clock()
            with _errors_logged("watch"):
                await self._engine.died()
            self._up = False
            logger.error("engine died")

            # The recovery from the death before would load versions into an engine that is gone.
            await _cancel(self._recovery)
            with _errors_logged("death"):
                self._on_death()

            # One death after a long life is no reason to wait; deaths in a row are.
            if self._clock() - up_since > STEADY_S:
                pause_s = 0.0
            pause_s = await self._restart(pause_s)
            self._up = True
            logger.info("engine recovered")

            # Beside the next watch: a recovery may take long, or wait for an engine that dies.
            self._recovery = asyncio.create_task(self._recover())

    async def _restart(self, pause_s: float) -> float:
        """Start the engine, after `pause_s` and then longer pauses, until it is up.

        Return the pause before the next restart.
        """
        while True:
            # What is left of the dead one still holds memory that the next one needs.
            with _errors_logged("stop"):
                await self._engine.stop()

            await self._sleep(pause_s)
            pause_s = min(max(1.0, 2 * pause_s), LONGEST_PAUSE_S)

            with _errors_logged("start"):
                try:
                    await self._engine.start()
                except LorabayError as error:
                    logger.error(
                        "engine did not come back", reason=error.message, next_try_s=pause_s
                    )
                else:
                    return pause_s

    async def _recover(self) -> None:
        with _errors_logged("recovery"):
            await self._on_recovery()


@contextmanager
def _errors_logged(step: str) -> Iterator[None]:
    """Log unexpected errors of a step, and go on: supervision must survive them."""
    try:
        yield
    except Exception:
        logger.exception("bug", step=step)


async def _cancel(task: asyncio.Task[None] | None) -> None:
    """Cancel a task, and wait until it has ended."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})

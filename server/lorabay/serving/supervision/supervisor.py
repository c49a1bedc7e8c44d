"""An engine that comes back: that it died or hangs is noticed, it is started again in process, and
requests are refused in the meantime.

It is an `Engine` itself, in front of the real one. If the first start fails, it raises. Later
starts are tried again, with a growing pause, until one works or the server stops. What may have
killed an engine is tried out alone in the next one, before requests reach it; requests that may
have done so pass by the `Suspects`, also where one of several copies has died, which is not for
this module to replace. Serial: one task waits for an end, restarts, and waits again. Knows nothing
of adapters: callbacks report a death and a recovery.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.errors import EngineUnavailable, InvalidRequest, LorabayError
from lorabay.serving.engine import Answer, Meter
from lorabay.serving.supervision.copy_deaths import CopyDeaths
from lorabay.serving.supervision.heartbeat import Heartbeat
from lorabay.serving.supervision.suspects import Running
from lorabay.serving.supervision.watched_stream import WatchedStream

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version
    from lorabay.serving.engine import (
        AdapterRoom,
        AnswerStream,
        Body,
        Call,
        Compiled,
        Engine,
        Slots,
        StepTokens,
    )
    from lorabay.serving.supervision.suspects import Culprit, Suspects

logger = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 30.0
"""Longest pause before a restart; it doubles from one second on."""

STEADY_S = 60.0
"""An engine that lived this long is restarted at once when it dies."""

RETRY_AFTER_S = 5.0
"""When a client should ask again while the engine is down."""

NOTICE_S = 1.0
"""How long after a death it is noticed at the latest.

Requests fail at once when the engine dies. Those that ended this recently may have been running.
"""

START_S = 600.0
"""How long a restart may take at least; and at most `START_TIMES` as long as the first start."""

START_TIMES = 5

DIED, HUNG = "died", "hung"
"""Ways in which an engine ends, as the metrics name them."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an engine is waited for.

    It counts as hung when it has been silent for `hang_s`. After `failed_restarts` in a row the
    server is no longer healthy; 0 means that it always is.
    """

    hang_s: float = 120.0
    failed_restarts: int = 5


@dataclass(frozen=True, slots=True)
class Death:
    """The end of an engine: how it ended, and when it was surely alive for the last time.

    `alive_at` is a time of the supervisor's clock. What had left the engine by then is innocent.
    """

    how: str
    alive_at: float


async def _nothing() -> None:
    """Do nothing: the default for the callbacks."""


class SupervisedEngine:
    """An engine that is restarted when it dies or hangs; requests pass by the `suspects`.

    For each death, `on_death`, `try_out` and `on_recovery` are called on the event loop, in that
    order. `try_out` has the new engine for itself: requests are let in when it has returned. A
    death cancels the other two. `on_refusal` hears of a request that copies of the engine die of.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        suspects: Suspects,
        patience: Patience | None = None,
        on_death: Callable[[Death], None] = lambda death: None,
        try_out: Callable[[], Coroutine[Any, Any, None]] = _nothing,
        on_recovery: Callable[[], Coroutine[Any, Any, None]] = _nothing,
        on_refusal: Callable[[Culprit], None] = lambda culprit: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._suspects = suspects
        self._patience = patience or Patience()
        self._on_death = on_death
        self._try_out = try_out
        self._on_recovery = on_recovery
        self._on_refusal = on_refusal
        self._sleep = sleep
        self._clock = clock
        self._copy_deaths = CopyDeaths(self._copy_died)
        self._up = False
        self._failed_restarts = 0
        self._start_limit_s = START_S
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

    @property
    def max_sequences(self) -> int | None:
        """Sequences that the engine computes at once; None before the first start."""
        return self._engine.max_sequences

    @property
    def reads_at_once(self) -> StepTokens | None:
        """Tokens of prompts that the engine reads in a step; None before the first start."""
        return self._engine.reads_at_once

    @property
    def adapter_room(self) -> AdapterRoom | None:
        """The adapters that the engine takes now; None if as many as was configured."""
        return self._engine.adapter_room

    def when_resized(self, resized: Callable[[], None]) -> None:
        """Call `resized`, too, whenever the engine takes other numbers than before."""
        self._engine.when_resized(resized)

    @property
    def compiled(self) -> Compiled | None:
        """Whether the base runs compiled; None while the engine is down."""
        return self._engine.compiled if self._up else None

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the JSON schema of each call's request body, by the call's name."""
        return self._engine.schemas()

    def slots(self) -> Slots | None:
        """Return the slots of the engine; None while it is down."""
        return self._engine.slots() if self._up else None

    def keep_in_slots(self, pinned: Callable[[], AbstractSet[Digest]]) -> None:
        """Let these weights give up their slots last, also after a restart."""
        self._engine.keep_in_slots(pinned)

    async def start(self) -> None:
        """Start the engine and watch it from then on."""
        began = self._clock()
        await self._engine.start()
        self._start_limit_s = max(START_S, START_TIMES * (self._clock() - began))
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

    async def beat(self) -> None:
        """Return once the engine has answered."""
        await self._engine.beat()

    async def kill(self) -> None:
        """End the engine's processes; it comes back."""
        await self._engine.kill()

    def check(self) -> None:
        """Raise EngineUnavailable while the engine is down."""
        if not self._up:
            raise EngineUnavailable(
                "the engine is not up; try again soon", retry_after=RETRY_AFTER_S
            )
        self._engine.check()

    def check_call(self, call: Call) -> None:
        """Raise CallNotServed for a call that the base cannot answer."""
        self._engine.check_call(call)

    def check_health(self) -> None:
        """Raise EngineUnavailable when too many restarts in a row have failed."""
        limit = self._patience.failed_restarts
        if limit and self._failed_restarts >= limit:
            raise EngineUnavailable(
                f"the engine could not be restarted {self._failed_restarts} times in a row",
                retry_after=LONGEST_PAUSE_S,
            )

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
        headers: Mapping[str, str] | None = None,
        meter: Meter | None = None,
    ) -> Answer | AnswerStream:
        """Answer a request.

        Raises RequestRefused for one that killed engines before.
        """
        self.check()
        meter = meter or Meter()
        run = partial(
            self._engine.run,
            call,
            body,
            version,
            request_id=request_id,
            headers=headers,
            meter=meter,
        )
        if not call.computes:
            return await run()

        request = Running(call, body, version)
        ended = partial(self._suspects.ended, request)
        meter.died = partial(self._copy_deaths.note, request)
        try:
            await self._suspects.admit(request)
            self.check()
            self._suspects.begun(request)
            answer = await run()
        except InvalidRequest:
            ended(is_done=False, was_computed=False)
            raise
        except BaseException:
            ended(is_done=False)
            raise

        if isinstance(answer, Answer):
            ended(is_done=True)
            return answer
        return WatchedStream(answer, lambda is_done: ended(is_done=is_done))

    def _copy_died(self, requests: Sequence[Running]) -> None:
        """Note the death of one copy of the engine, which somebody else replaces."""
        logger.error("one of the engines died", requests=len(requests))
        culprit = self._suspects.copy_died(requests)
        if culprit is not None:
            self._on_refusal(culprit)

    async def _supervise(self) -> None:
        """Wait for a death and bring the engine back, again and again."""
        pause_s = 0.0
        while True:
            up_since = self._clock()
            death = await self._end_of_life()
            await self._note_death(death)

            # One death after a long life is no reason to wait; deaths in a row are.
            if self._clock() - up_since > STEADY_S:
                pause_s = 0.0
            pause_s = await self._restart(pause_s)

    async def _end_of_life(self) -> Death:
        """Let requests in, if they are not yet; return when the engine is gone or hangs."""
        heartbeat = Heartbeat(self._engine.beat, self._patience.hang_s, clock=self._clock)
        died = asyncio.create_task(self._engine.died())
        lost = asyncio.create_task(heartbeat.lost())
        opening = asyncio.create_task(self._open())
        try:
            ends, _ = await asyncio.wait({died, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (opening, died, lost):
                await _cancel(task)

        for end in ends:
            with _errors_logged("watch"):
                end.result()
        alive_at = min(heartbeat.alive_at, self._clock() - NOTICE_S)
        return Death(DIED if died in ends else HUNG, alive_at)

    async def _open(self) -> None:
        """Let requests into a new engine, when what may have killed the last one was tried out."""
        if self._up:
            return

        with _errors_logged("trial"):
            await self._try_out()
        if self._is_gone():
            return  # which is about to be noticed

        self._up = True
        logger.info("engine recovered")

        # Beside the watch: a recovery may take long, or wait for an engine that dies.
        self._recovery = asyncio.create_task(self._recover())

    def _is_gone(self) -> bool:
        try:
            self._engine.check()
        except EngineUnavailable:
            return True
        return False

    async def _note_death(self, death: Death) -> None:
        self._up = False
        logger.error("engine died" if death.how == DIED else "engine hangs")
        if death.how == HUNG:
            with _errors_logged("kill"):
                await self._engine.kill()

        # The recovery from the death before would load versions into an engine that is gone.
        await _cancel(self._recovery)
        with _errors_logged("death"):
            self._on_death(death)

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
                    await self._start_in_time()
                except LorabayError as error:
                    logger.error(
                        "engine did not come back", reason=error.message, next_try_s=pause_s
                    )
                else:
                    self._failed_restarts = 0
                    return pause_s
            self._failed_restarts += 1

    async def _start_in_time(self) -> None:
        """Start the engine; one that is not up in time is killed, so that its start fails."""
        start = asyncio.create_task(self._engine.start())
        try:
            while not start.done():
                await asyncio.wait({start}, timeout=self._start_limit_s)
                if not start.done():
                    logger.error("engine hangs in its start")
                    await self._engine.kill()
            start.result()
        finally:
            await _cancel(start)

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

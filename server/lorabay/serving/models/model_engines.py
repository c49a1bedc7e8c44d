"""The engines of whole models: one for each version, beside the engine that the adapters share.

A model is up once its engine is; that engine is supervised like the adapters' own, and its death
touches nobody else. At most `limit` models are served, and one more while a version replaces
another. A model that finds no room, or too little memory, is refused with the reason; one that a
name means is never taken out for another.

Serial, on one event loop: starts, one after the other, so that each sees the memory that is left.
Knows nothing of names that are live, except by its hooks, nor of requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from lorabay.errors import AdapterRejected, EngineUnavailable, LorabayError, NoRoomForModel
from lorabay.serving.supervision.supervisor import SupervisedEngine
from lorabay.serving.supervision.suspects import Suspects
from lorabay.serving.turns.turn_gate import Bounds, TurnGate

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version
    from lorabay.serving.engine import Engine
    from lorabay.serving.supervision.supervisor import Death, Patience

logger = structlog.get_logger(__name__)

RETRY_AFTER_S = 10.0
"""When a client should ask again for a model that is not up yet: a start takes half a minute."""

KILL_AGAIN_S = 0.5
"""How often the processes of an engine that starts are ended, until its start has given up."""


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """How whole models are served.

    `make` returns the engine of a version, not started, and may block. At most `limit` models are
    served. `shortage` returns why the memory that is free now does not do for a version beside so
    many other models, None if it does; it may block. `gate` returns the gate in front of an engine,
    given a function that returns the engine, None until it is made.
    """

    make: Callable[[Version], Engine]
    limit: int
    shortage: Callable[[Version, int], str | None]
    gate: Callable[[Callable[[], Engine | None]], TurnGate]


def _none_served(version: Version) -> Engine:
    raise NoRoomForModel(f"{version.id} is a whole model, and this server serves none")


NO_MODELS = ModelPlan(
    make=_none_served,
    limit=0,
    shortage=lambda version, others: None,
    gate=lambda engine: TurnGate(1, Bounds(0.0), drain_after_s=0.0),
)
"""For a server that serves adapters alone."""


@dataclass(frozen=True, slots=True)
class ModelHooks:
    """Questions that the engines of models ask their owner, and events that they report."""

    in_use: Callable[[Digest], bool] = lambda weights: False
    """Returns whether a request uses weights; then they stay."""

    wanted: Callable[[], AbstractSet[Digest]] = frozenset
    """Returns the weights that names mean; they stay, too."""

    admit: Callable[[Version], None] = lambda version: None
    """Raises for a version that must not be loaded."""

    loaded: Callable[[Version, float], None] = lambda version, seconds: None
    """Called when the engine of a version is up, with the seconds that it took."""

    refused: Callable[[Version, AdapterRejected], None] = lambda version, error: None
    """Called when the engine of a version did not start."""

    died: Callable[[Version, Death], None] = lambda version, death: None
    """Called when the engine of a version has ended; it is being started again."""


@dataclass(eq=False, slots=True)
class _Model:
    """One model: its engine, once that is made, and the task that starts it."""

    version: Version
    is_swap: bool
    engine: SupervisedEngine | None = None
    start: asyncio.Task[None] = field(init=False)
    last_used: float = 0.0

    @property
    def is_up(self) -> bool:
        """Whether its start has ended well; its engine may be on its way back since."""
        return self.start.done() and not self.start.cancelled() and not self.start.exception()


class ModelEngines:
    """The engines of one server's whole models, by the weights of their versions."""

    def __init__(
        self,
        plan: ModelPlan,
        hooks: ModelHooks,
        *,
        patience: Patience | None = None,
        load_timeout_s: float = 30.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._hooks = hooks
        self._patience = patience
        self._load_timeout_s = load_timeout_s
        self._sleep = sleep
        self._clock = clock
        self._models: dict[Digest, _Model] = {}
        self._gates: dict[Digest, TurnGate] = {}
        self._one_at_a_time = asyncio.Lock()
        """Held by starts, and by ends, which give memory back."""
        self._is_stopping = False

    def resident(self) -> dict[Digest, float]:
        """Return the weights whose engine is up, with the wall-clock time of their last use."""
        return {weights: one.last_used for weights, one in self._models.items() if one.is_up}

    def loading(self) -> frozenset[Version]:
        """Return the versions whose engine starts, or waits for that."""
        return frozenset(one.version for one in self._models.values() if not one.start.done())

    def placed(self) -> frozenset[Digest]:
        """Return all weights whose files an engine may read."""
        return frozenset(self._models)

    @property
    def waiting(self) -> int:
        """Requests that wait for a turn in one of the engines."""
        return sum(gate.waiting for gate in self._gates.values())

    def engine_of(self, version: Version) -> Engine:
        """Return the engine of a version; raises EngineUnavailable if it is not up yet."""
        model = self._models.get(version.weights)
        if model is None or model.engine is None or not model.is_up:
            raise _not_yet(version)
        return model.engine

    def turns_of(self, version: Version) -> TurnGate:
        """Return the gate in front of the engine of a version, also before that is up."""
        weights = version.weights
        if weights not in self._gates:
            self._gates[weights] = self._plan.gate(partial(self._engine_with, weights))
        return self._gates[weights]

    def _engine_with(self, weights: Digest) -> Engine | None:
        model = self._models.get(weights)
        return None if model is None else model.engine

    async def ensure(self, version: Version, *, swap: bool = False) -> None:
        """Return once the engine of `version` is up; with `swap` it may be one more than `limit`.

        Raises EngineUnavailable if that takes longer than the time limit (the start goes on), or if
        the engine is on its way back; NoRoomForModel, and AdapterRejected if vLLM does not start.
        """
        model = self._models.get(version.weights)
        if model is None:
            self._hooks.admit(version)
            model = self._begin(version, swap)

        # Not awaited itself: a client that hangs up must not end a start that others wait for.
        await asyncio.wait({model.start}, timeout=self._load_timeout_s)
        if not model.start.done() or model.start.cancelled():
            raise _not_yet(version)
        model.start.result()
        model.last_used = time.time()
        self.engine_of(version).check()

    async def drop(self, version: Version) -> None:
        """End the engine of a version unless its weights are in use; one that starts is up first.

        Does nothing if there is none.
        """
        model = self._models.get(version.weights)
        if model is None or self._hooks.in_use(version.weights):
            return

        await asyncio.wait({model.start})
        async with self._one_at_a_time:
            # Looked up again: a request may have come for it, or somebody else may have ended it.
            is_there = self._models.get(version.weights) is model
            if is_there and not self._hooks.in_use(version.weights):
                await self._end(model)

    async def stop(self) -> None:
        """End all engines, also those that start."""
        self._is_stopping = True
        for model in tuple(self._models.values()):
            while not model.start.done():
                # An engine is started in a thread, which cannot be cancelled: without its processes
                # it ends. A start that waits for its turn has no engine yet.
                if model.engine is None:
                    model.start.cancel()
                else:
                    await model.engine.kill()
                await asyncio.wait({model.start}, timeout=KILL_AGAIN_S)
            await self._end(model)

    def _begin(self, version: Version, swap: bool) -> _Model:
        model = _Model(version, swap)
        self._models[version.weights] = model
        model.start = asyncio.create_task(self._start(model))
        model.start.add_done_callback(lambda _: self._started(model))
        return model

    def _started(self, model: _Model) -> None:
        """Forget a model whose start has failed; runs before whoever awaits it."""
        if not model.is_up:
            self._models.pop(model.version.weights, None)

    async def _start(self, model: _Model) -> None:
        """Take a model from nothing to an engine that is up."""
        version = model.version
        async with self._one_at_a_time:
            await self._make_room(model)
            others = len(self._with_engines())
            shortage = await asyncio.to_thread(self._plan.shortage, version, others)
            if shortage is not None:
                raise NoRoomForModel(shortage, retry_after=RETRY_AFTER_S)

            began = time.perf_counter()
            logger.info("model starts", adapter=version.adapter, version=version.id)
            try:
                model.engine = self._supervised(version, await self._made(version))
                await model.engine.start()
            except Exception as error:
                if model.engine is not None:
                    await model.engine.stop()
                if self._is_stopping:
                    raise _not_yet(version) from error
                text = f"its engine did not start: {_reason(error)}"
                refusal = AdapterRejected(version.adapter, (text,))
                self._hooks.refused(version, refusal)
                raise refusal from error

        model.last_used = time.time()
        self._hooks.loaded(version, time.perf_counter() - began)

    async def _made(self, version: Version) -> Engine:
        return await asyncio.to_thread(self._plan.make, version)

    def _supervised(self, version: Version, engine: Engine) -> SupervisedEngine:
        return SupervisedEngine(
            engine,
            suspects=Suspects(self._clock),
            patience=self._patience,
            on_death=partial(self._hooks.died, version),
            sleep=self._sleep,
            clock=self._clock,
        )

    async def _make_room(self, model: _Model) -> None:
        """End engines that no name means and no request uses, until there is room for one more."""
        limit = self._plan.limit + 1 if model.is_swap else self._plan.limit
        while len(others := self._with_engines()) >= limit:
            unused = [one for one in others if self._is_unused(one.version.weights)]
            if not unused:
                raise NoRoomForModel(
                    f"this server serves {self._plan.limit} whole models at a time, and others "
                    "take their place; raise --max-models, or take another model away",
                    retry_after=RETRY_AFTER_S,
                )
            await self._end(min(unused, key=lambda one: one.last_used))

    def _with_engines(self) -> list[_Model]:
        """Return the models that have an engine; of those that start it is only the one whose turn
        it is, later.
        """
        return [one for one in self._models.values() if one.engine is not None]

    def _is_unused(self, weights: Digest) -> bool:
        return weights not in self._hooks.wanted() and not self._hooks.in_use(weights)

    async def _end(self, model: _Model) -> None:
        weights = model.version.weights
        self._models.pop(weights, None)
        self._gates.pop(weights, None)
        if model.engine is not None:
            await model.engine.stop()
            logger.info("model ended", adapter=model.version.adapter, version=model.version.id)


def _not_yet(version: Version) -> EngineUnavailable:
    return EngineUnavailable(
        f"the engine of {version.adapter!r}, which is a whole model, is not up yet; try again soon",
        retry_after=RETRY_AFTER_S,
    )


def _reason(error: Exception) -> str:
    """Return why an engine did not start; what nobody has foreseen is logged as well."""
    if isinstance(error, LorabayError):
        return error.message
    logger.error("bug", what="the start of a model", exc_info=error)
    return f"{type(error).__name__}: {error}"

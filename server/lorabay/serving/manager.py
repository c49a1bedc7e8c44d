"""Joins the parts that serve adapters from one directory over one engine, and runs them.

Owns the order of a start (engine, directory, preload) and the consequences that an engine's death
or refusal has for adapters. Everything runs on one event loop; blocking work goes to threads. Knows
nothing of requests, except that a version is needed, has answered, or is done with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from lorabay.catalog.registry.adapter_state import AdapterState, AdapterStatus
from lorabay.catalog.versions import DIGEST_PREFIX, Version
from lorabay.errors import AdapterRejected, EngineUnavailable, NoRoomForModel, WeightsRefused
from lorabay.metrics import AdapterFacts, SlotFacts
from lorabay.reasons import Reason
from lorabay.reconcile.events import ENGINE
from lorabay.reconcile.watcher import watch
from lorabay.serving.holds import Holds
from lorabay.serving.models.all_weights import AllWeights
from lorabay.serving.models.model_engines import NO_MODELS, ModelEngines, ModelHooks
from lorabay.serving.residency import Hooks, Residency
from lorabay.serving.rollouts import Rollouts
from lorabay.serving.supervision.quarantine import Quarantine
from lorabay.serving.supervision.supervisor import Death, Patience, SupervisedEngine
from lorabay.serving.supervision.suspects import Suspects
from lorabay.serving.supervision.trials import Trials

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest
    from lorabay.metrics import Metrics
    from lorabay.reconcile.reconciler import Reconciler
    from lorabay.serving.engine import Engine
    from lorabay.serving.holds import Hold
    from lorabay.serving.models.model_engines import ModelPlan
    from lorabay.serving.supervision.suspects import Culprit

logger = structlog.get_logger(__name__)

Watch = Callable[[Path, Callable[[], None], tuple[Path, ...]], Coroutine[Any, Any, None]]
"""A watcher: calls back whenever a directory changes, until cancelled.

Its last argument is where links in the directory may lead.
"""


class Leading(Protocol):
    """When this server may change what names mean; others may answer for them as well."""

    @property
    def keeps_names(self) -> bool:
        """True while it may."""
        ...

    async def joined(self) -> None:
        """Return when this server knows what all names mean."""
        ...

    async def lead(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `change` whenever this server may change names, until cancelled."""
        ...


class Alone:
    """A server that shares its names with no other: it changes them all the time."""

    keeps_names = True

    async def joined(self) -> None:
        """Return at once."""

    async def lead(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `change` until cancelled."""
        await change()


@dataclass(frozen=True, slots=True)
class Loading:
    """How versions are loaded: how many the engine holds, how many at the start, and limits.

    `timeout_s` is how long a request waits for its version, `concurrent` how many are loaded at the
    same time.
    """

    capacity: int
    preload: int
    timeout_s: float = 30.0
    concurrent: int = 2


class AdapterManager:
    """One server's adapters: `start`, then `hold` and `ensure` before each request, `stop` at the
    end.
    """

    def __init__(
        self,
        engine: Engine,
        reconciler: Reconciler,
        metrics: Metrics,
        loading: Loading,
        *,
        models: ModelPlan = NO_MODELS,
        patience: Patience | None = None,
        watch: Watch = watch,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        registry = reconciler.registry
        self._reconciler = reconciler
        self._registry = registry
        self._events = reconciler.events
        self._metrics = metrics
        self._preload_count = loading.preload
        self._watch = watch
        self._quarantine = Quarantine(clock, known=registry.quarantined())
        self._trials = Trials(engine, self._quarantine)
        self._suspects = Suspects(clock)
        self._shown_as_failed: set[Version] = set()
        """Versions that failed while they were live; a later load shows their name as ready."""
        self._tasks: list[asyncio.Task[None]] = []
        self._leading: Leading = Alone()
        self._is_preloaded = False

        self.engine = SupervisedEngine(
            engine,
            suspects=self._suspects,
            patience=patience,
            on_death=self._engine_died,
            try_out=self._trials.run,
            on_recovery=self._engine_recovered,
            on_refusal=self._request_refused,
            sleep=sleep,
            clock=clock,
        )
        self.engine.keep_in_slots(registry.pinned_weights)
        self._holds = Holds(freed=lambda: self.residency.look_for_room())  # noqa: PLW0108
        hooks = Hooks(
            in_use=lambda weights: registry.leases_on(weights) > 0,
            held=self._holds.on,
            pinned=registry.pinned_weights,
            admit=self._quarantine.check,
            loaded=self._loaded,
            refused=self._refused,
            evicted=self._evicted,
        )
        self.residency = Residency(
            self.engine,
            loading.capacity,
            hooks,
            load_timeout_s=loading.timeout_s,
            concurrent_loads=loading.concurrent,
            clock=clock,
        )
        self.models = ModelEngines(
            models,
            ModelHooks(
                in_use=hooks.in_use,
                wanted=registry.live_weights,
                admit=self._quarantine.check,
                loaded=self._loaded,
                refused=self._refused,
                died=self._model_died,
            ),
            patience=patience,
            load_timeout_s=loading.timeout_s,
            sleep=sleep,
            clock=clock,
        )
        self.weights = AllWeights(self.residency, self.models)
        self.rollouts = self._make_rollouts()

        registry.when_idle(lambda version: self.residency.look_for_room())
        registry.when_changed(self._state_changed)
        self._show()

    def _show(self) -> None:
        """Show adapters and engine in the metrics."""
        self._metrics.follow_adapters(
            self.facts, slots=self._slot_facts, is_served=self._registry.is_present
        )
        self._metrics.engine_up.set_function(lambda: float(self._is_up()))

    def _make_rollouts(self) -> Rollouts:
        """Return the rollouts of the adapters; a folder's new version may ask for one."""
        reconciler = self._reconciler
        rollouts = Rollouts(
            self._registry,
            self._events,
            self._metrics,
            reconciler.changes.admins,
            retire=reconciler.swaps.retire,
        )
        reconciler.swaps.roll_out_with(rollouts.begin)
        return rollouts

    async def start(self, leading: Leading | None = None) -> None:
        """Bring the engine up and adapters into it, then follow the directory until `stop`.

        `leading` says when this server may change names; by default it always may.
        """
        leading = self._leading = leading or Alone()
        await self.engine.start()
        self._reconciler.swaps.engine_is_up(self.weights)

        if leading.keeps_names:
            # Adapters that were offered while there was no engine are loaded, and names flip.
            await self._reconciler.reconcile()
        else:
            await leading.joined()
        await self._preload()
        self._is_preloaded = True

        self._tasks = [
            asyncio.create_task(leading.lead(self._change_names)),
            # Beside everything else: the start of an engine takes half a minute, and adapters
            # answer meanwhile.
            asyncio.create_task(self._preload_models()),
        ]

    async def _change_names(self) -> None:
        """Follow the directory and move rollouts on, until cancelled."""
        directory, look_again = self._reconciler.directory, self._reconciler.look_again
        tasks = [
            asyncio.create_task(self._reconciler.run()),
            asyncio.create_task(self.rollouts.run()),
            asyncio.create_task(self._watch(directory.root, look_again, directory.allowed_roots)),
        ]
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._reconciler.changes.stop()

    async def stop(self) -> None:
        """Stop following the directory and end the engine; idempotent."""
        # First whoever could begin a change, then the changes, then their loads, then the engine.
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reconciler.stop()
        await self.residency.stop()
        await self.models.stop()
        await self.engine.stop()

    @property
    def declared_set_loaded(self) -> bool:
        """True once the folders found at the start are dealt with and the first adapters loaded."""
        return self._is_preloaded and self._reconciler.has_read_directory

    async def ensure(self, version: Version) -> None:
        """Return when the engine holds `version`.

        Raises WeightsRefused if it never will (the name may then mean a former version), or
        EngineUnavailable if it does not yet.
        """
        try:
            await self.weights.ensure(version)
        except AdapterRejected as error:
            self._fail(version, _reasons(error))
            raise WeightsRefused(version.adapter) from error

    def hold(self, version: Version) -> Hold:
        """Keep the weights of `version` in the engine, once they are there, until the release."""
        return self._holds.take(version)

    def admits(self, version: Version) -> bool:
        """Return whether `version` may be loaded; one that may not is answered with 404."""
        return self._quarantine.admits(version)

    def answered(self, version: Version) -> None:
        """Note that the engine has generated with `version`: it does not kill engines."""
        self._quarantine.proved(version)

    def ended(self, version: Version) -> None:
        """Note that a generation with `version` is over; a death soon after may be its fault."""
        # A whole model's engine has nothing else in it, and comes back by itself.
        if not version.is_model:
            self._quarantine.ended(version)

    def forgive(self, version: Version) -> None:
        """Let `version` be loaded again although it was refused or killed engines."""
        self._quarantine.forgive(version)
        self._registry.set_quarantined(version, False)

    def pardon(self, version: Version) -> None:
        """Let a version be loaded here that another server's administrator has made live."""
        self._quarantine.forgive(version)

    def facts(self) -> Iterator[AdapterFacts]:
        """Return the facts of each adapter that the metrics show, at the time of a scrape."""
        resident = self.weights.resident()
        slots = self.engine.slots()
        in_slots = slots.held if slots is not None else frozenset()
        for status in self._registry.snapshot():
            yield _facts(status, resident, in_slots)

    def _slot_facts(self) -> SlotFacts | None:
        slots = self.engine.slots()
        if slots is None:
            return None

        resident = self.residency.resident()
        in_slots = [
            status.name
            for status in self._registry.snapshot()
            if status.live and status.live.weights in resident and status.live.weights in slots.held
        ]
        return SlotFacts(
            base=self._reconciler.ingest.base_names[0],
            taken=len(slots.held),
            total=slots.count,
            loaded=len(resident),
            in_slots=tuple(in_slots),
            loading=tuple(sorted({version.adapter for version in self.residency.loading()})),
            at=time.time(),
        )

    async def _preload(self) -> None:
        """Load pinned adapters, then others until the number that is preloaded is reached.

        Of the others, those come first that were asked for last.
        """
        statuses = sorted(self._registry.snapshot(), key=_preload_rank)
        adapters = [status for status in statuses if status.live and not status.live.is_model]
        live = [status.live for status in adapters if status.live is not None]
        pinned = sum(status.pinned for status in adapters)
        # More than fit would evict those that were loaded first.
        count = min(max(self._preload_count, pinned), self.residency.capacity)

        for version in live[:count]:
            try:
                await self.ensure(version)
            except WeightsRefused:
                continue
            except EngineUnavailable as error:
                logger.warning("not preloaded", adapter=version.adapter, reason=error.message)
                if not self._is_up():
                    return

    async def _preload_models(self) -> None:
        """Start the engine of each model that a name means, pinned ones first.

        One that finds no room is shown as failed, with the reason; a request for it tries again.
        """
        statuses = sorted(self._registry.snapshot(), key=_preload_rank)
        for version in [status.live for status in statuses]:
            if version is None or not version.is_model:
                continue
            try:
                await self.ensure(version)
            except WeightsRefused:
                continue  # which is shown already
            except NoRoomForModel as error:
                self._show_as_failed(version, (Reason(error.code, error.message),))
            except EngineUnavailable:
                continue  # its start goes on

    def _is_up(self) -> bool:
        try:
            self.engine.check()
        except EngineUnavailable:
            return False
        return True

    def _engine_died(self, death: Death) -> None:
        # A request that only waits for its version cannot have killed the engine.
        resident = self.residency.resident()
        running = [version for version in self._holds.versions() if version.weights in resident]
        self._quarantine.engine_died(self.residency.loading(), running, death.alive_at)

        # Everything is read before this: forgetting the places also forgets the suspects.
        self._metrics.engine_restarts.labels(death.how).inc()
        self._events.add(f"engine {death.how}", who=ENGINE, result="restarting")
        self.residency.forget_all()
        self._find_culprit(death)

    def _find_culprit(self, death: Death) -> None:
        """Name what killed the engine, if that is known: a version alone, or a request."""
        version = self._trials.interrupted()
        if version is not None:
            # It also explains the death before, which brought it to trial.
            self._suspects.absolve()
            self._put_into_quarantine(version)
            return

        request = self._suspects.engine_died(death.alive_at)
        if request is not None:
            self._request_refused(request)

    def _request_refused(self, request: Culprit) -> None:
        """Count and tell that a request is refused from now on: engines die of it."""
        self._metrics.requests_refused.inc()
        asked = request.version
        self._events.add(
            "request refused",
            who=ENGINE,
            adapter=None if asked is None else asked.adapter,
            version=None if asked is None else asked.id,
            result=f"the engine died twice on request {request.fingerprint[:DIGEST_PREFIX]}",
        )

    def _model_died(self, version: Version, death: Death) -> None:
        """Note the end of a whole model's engine, which is nobody else's."""
        self._metrics.of(version.adapter, self._metrics.model_restarts).inc()
        self._events.add(
            f"model engine {death.how}",
            who=ENGINE,
            adapter=version.adapter,
            version=version.id,
            result="restarting",
        )

    def _put_into_quarantine(self, version: Version) -> None:
        self._quarantine.killed(version)
        self._registry.set_quarantined(version, True)
        self._events.add("quarantined", who=ENGINE, adapter=version.adapter, version=version.id)
        reason = Reason(
            "quarantined", "quarantined: the engine died on it twice before it answered once"
        )
        self._fail(version, (reason,))

    async def _engine_recovered(self) -> None:
        self._events.add("engine recovered", who=ENGINE)
        await self._preload()
        self._reconciler.look_again()

    def _state_changed(self, name: str, before: AdapterState, after: AdapterState) -> None:
        if not self._registry.is_present(name):
            self._metrics.forget(name)

        status = self._registry.status(name)
        reasons = status.reasons if status is not None else ()
        text = "; ".join(reason.text for reason in reasons)
        logger.info("state", adapter=name, before=before, after=after, reasons=text)

    def _loaded(self, version: Version, seconds: float) -> None:
        name = version.adapter
        self._metrics.of(name, self._metrics.load_seconds).observe(seconds)
        if version.is_model:
            # Shown from now on: an alert cannot see an increase from nothing to one.
            self._metrics.of(name, self._metrics.model_restarts)
        logger.info("loaded", adapter=name, version=version.id, seconds=round(seconds, 3))
        for failed in tuple(self._shown_as_failed):
            if failed.weights == version.weights:
                self._show_as_served(failed)

    def _show_as_served(self, version: Version) -> None:
        """Show the name of a version that failed earlier, and is good after all, as served."""
        self._shown_as_failed.discard(version)
        status = self._registry.status(version.adapter)
        if status is not None and status.live == version and status.state is AdapterState.FAILED:
            self._registry.set_live(version)

    def _refused(self, version: Version, error: AdapterRejected) -> None:
        self._quarantine.refused(version, error)
        self._events.add(
            "refused",
            who=ENGINE,
            adapter=version.adapter,
            version=version.id,
            result=error.message,
        )
        self._fail(version, _reasons(error))

    def _fail(self, version: Version, reasons: tuple[Reason, ...]) -> None:
        """Go back from a live version that cannot be served to a former one.

        The reasons are shown, unless a newer attempt has reasons of its own.
        """
        name = version.adapter
        status = self._registry.status(name)
        if status is None or status.live != version:
            return

        # The live version itself is among the kept ones, unless the quarantine refuses it too.
        former = next(filter(self._quarantine.admits, status.kept), None)
        # Where another server keeps the names, all of them mean the same or nothing.
        if former is not None and former != version and self._leading.keeps_names:
            self._registry.set_live(former)
            self._events.add("fell back", who=ENGINE, adapter=name, version=former.id)
        if status.state is AdapterState.READY:
            self._show_as_failed(version, reasons)

    def _show_as_failed(self, version: Version, reasons: tuple[Reason, ...]) -> None:
        """Show the name of a version as failed until that is loaded after all."""
        self._shown_as_failed.add(version)
        self._registry.mark(version.adapter, AdapterState.FAILED, reasons)

    def _evicted(self, version: Version) -> None:
        self._metrics.of(version.adapter, self._metrics.evictions).inc()
        logger.info("evicted", adapter=version.adapter, version=version.id)


def _facts(
    status: AdapterStatus, resident: Collection[Digest], in_slots: Collection[Digest]
) -> AdapterFacts:
    live, state = status.live, str(status.state)
    if live is None:
        return AdapterFacts(
            status.name, state=state, version=None, format=None, rank=None, level=None
        )

    is_resident = live.weights in resident
    return AdapterFacts(
        status.name,
        state=state,
        version=live.digest[:DIGEST_PREFIX],
        format=live.spec.format,
        rank=live.spec.rank,
        level="engine" if is_resident else "store",
        in_slot=is_resident and live.weights in in_slots,
        pinned=status.pinned,
        approximate=live.spec.approximate,
    )


def _preload_rank(status: AdapterStatus) -> tuple[bool, float]:
    """Return what adapters are sorted by: pinned ones first, then by their last use."""
    last_used = max((when for _, when in status.last_used), default=0.0)
    return not status.pinned, -last_used


def _reasons(error: AdapterRejected) -> tuple[Reason, ...]:
    return tuple(Reason("engine", text) for text in error.reasons)

"""Joins the parts that serve adapters from one directory over one engine, and runs them.

Owns the order of a start (directory, engine, preload) and what a death of the engine means for
adapters. Everything runs on one event loop; blocking work goes to threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.catalog.registry import AdapterState, AdapterStatus
from lorabay.catalog.versions import DIGEST_PREFIX, Version
from lorabay.errors import AdapterRejected, EngineUnavailable, WeightsRefused
from lorabay.metrics import AdapterFacts
from lorabay.reasons import Reason
from lorabay.serving.quarantine import Quarantine
from lorabay.serving.residency import Residency
from lorabay.serving.supervisor import SupervisedEngine
from lorabay.serving.watcher import watch

if TYPE_CHECKING:
    from lorabay.metrics import Metrics
    from lorabay.serving.catalogue import Catalogue
    from lorabay.serving.engine import Engine

logger = structlog.get_logger(__name__)

Watch = Callable[[Path, Callable[[], None], tuple[Path, ...]], Coroutine[Any, Any, None]]
"""Calls back whenever a directory changes, until cancelled; links in it may lead to the roots."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How loads behave: versions the engine may hold, how many are loaded at start, limits in
    seconds and number.
    """

    capacity: int
    preload: int
    timeout_s: float = 30.0
    concurrent: int = 2


class AdapterHost:
    """One server's adapters: `start`, then `ensure` before each request, `stop` at the end."""

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        metrics: Metrics,
        loading: Loading,
        *,
        watch: Watch = watch,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        registry = catalogue.registry
        self._directory = catalogue.directory
        self._registry = registry
        self._reconciler = catalogue.reconciler
        self._events = catalogue.events
        self._metrics = metrics
        self._preload_count = loading.preload
        self._watch = watch
        self._quarantine = Quarantine(clock, known=registry.quarantined())
        self._failed: set[Version] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._preloaded = False
        self.engine = SupervisedEngine(
            engine,
            died=self._engine_died,
            recovered=self._engine_recovered,
            sleep=sleep,
            clock=clock,
        )
        self.residency = Residency(
            self.engine,
            loading.capacity,
            load_timeout_s=loading.timeout_s,
            concurrent_loads=loading.concurrent,
            in_use=lambda version: registry.leases(version) > 0,
            pinned=self._is_pinned,
            admit=self._quarantine.check,
            loaded=self._loaded,
            refused=self._refused,
            evicted=self._evicted,
        )
        registry.when_idle(lambda version: self.residency.look_for_room())
        registry.when_changed(self._log_state)
        metrics.follow_adapters(self.facts)

    async def start(self) -> None:
        """Bring the engine up and the declared adapters into it, then follow the directory until
        `stop`.
        """
        await self.engine.start()
        self._reconciler.attach(self.residency)
        await self._reconciler.reconcile()  # what has to be loaded before its name may flip to it
        await self._preload()
        self._preloaded = True
        self._tasks = [
            asyncio.create_task(self._reconciler.run()),
            asyncio.create_task(
                self._watch(
                    self._directory.root, self._reconciler.look_again, self._directory.allowed_roots
                )
            ),
        ]

    async def stop(self) -> None:
        """Stop following the directory and end the engine; idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reconciler.stop()
        await self.residency.stop()
        await self.engine.stop()

    @property
    def declared_set_loaded(self) -> bool:
        """True once every folder found at the start has been dealt with and the first adapters are
        in the engine.
        """
        return self._preloaded and self._reconciler.declared_set_loaded

    async def ensure(self, version: Version) -> None:
        """Return when the engine holds `version`.

        Raises WeightsRefused when it will never (the name may then mean a former version),
        EngineUnavailable when not yet.
        """
        try:
            await self.residency.ensure(version)
        except AdapterRejected as error:
            self._fail(version, _reasons(error))
            raise WeightsRefused(version.adapter) from error

    def answered(self, version: Version) -> None:
        """The engine has generated with `version`: it is not what kills engines."""
        self._quarantine.proved(version)

    def ended(self, version: Version) -> None:
        """A generation with `version` is over; should the engine be dead, that may be why."""
        self._quarantine.ended(version)

    def forgive(self, version: Version) -> None:
        """An admin wants a version loaded although it was refused or killed engines."""
        self._quarantine.forgive(version)
        self._registry.set_quarantined(version, False)

    async def _preload(self) -> None:
        """Load the pinned adapters, then others while places that are filled at the start
        remain.
        """
        live = [
            version for name in self._registry.names() if (version := self._registry.live(name))
        ]
        live.sort(key=lambda version: not self._is_pinned(version))
        wanted = max(self._preload_count, sum(map(self._is_pinned, live)))
        for version in live[: min(wanted, self.residency.capacity)]:
            try:
                await self.ensure(version)
            except WeightsRefused:
                continue
            except EngineUnavailable as error:
                logger.warning("preload stopped", adapter=version.adapter, reason=error.message)
                return

    def _engine_died(self) -> None:
        resident = self.residency.resident()
        leased = (version for status in self._registry.snapshot() for version, _ in status.leases)
        running = [version for version in leased if version in resident]
        culprit = self._quarantine.engine_died(self.residency.loading(), running)
        self._metrics.engine_restarts.inc()
        self._events.add("engine died", who="engine", result="restarting")
        self.residency.forget_all()
        if culprit is not None:
            reason = Reason(
                "quarantined", "quarantined: the engine died on it twice before it answered once"
            )
            self._registry.set_quarantined(culprit, True)
            self._events.add(
                "quarantined", who="engine", adapter=culprit.adapter, version=culprit.id
            )
            self._fail(culprit, (reason,))

    async def _engine_recovered(self) -> None:
        self._events.add("engine recovered", who="engine")
        await self._preload()
        self._reconciler.look_again()

    def _is_pinned(self, version: Version) -> bool:
        return (
            self._registry.pinned(version.adapter)
            and self._registry.live(version.adapter) == version
        )

    def _log_state(self, name: str, before: AdapterState | None, after: AdapterState) -> None:
        reasons = "; ".join(reason.text for reason in self._registry.reasons(name))
        logger.info("state", adapter=name, before=before, after=after, reasons=reasons)

    def _loaded(self, version: Version, seconds: float) -> None:
        self._metrics.load_seconds.labels(version.adapter).observe(seconds)
        logger.info(
            "loaded", adapter=version.adapter, version=version.id, seconds=round(seconds, 3)
        )
        if version in self._failed:
            self._failed.discard(version)
            live, state = (
                self._registry.live(version.adapter),
                self._registry.state(version.adapter),
            )
            if version == live and state is AdapterState.FAILED:
                self._registry.set_live(version)

    def _refused(self, version: Version, error: AdapterRejected) -> None:
        self._quarantine.refused(version, error)
        self._events.add(
            "refused",
            who="engine",
            adapter=version.adapter,
            version=version.id,
            result=error.message,
        )
        self._fail(version, _reasons(error))

    def _fail(self, version: Version, reasons: tuple[Reason, ...]) -> None:
        """Go back from a live version that cannot be served to a former one, and show why, unless
        there is something to say of a newer attempt.
        """
        name, state = version.adapter, self._registry.state(version.adapter)
        if version != self._registry.live(name):
            return
        former = next(filter(self._quarantine.admits, self._registry.kept(name)), None)
        if former is not None and former != version:
            self._registry.set_live(former)
            self._events.add("fell back", who="engine", adapter=name, version=former.id)
        if state is AdapterState.READY:
            self._failed.add(version)
            self._registry.mark(name, AdapterState.FAILED, reasons)

    def _evicted(self, version: Version) -> None:
        self._metrics.evictions.labels(version.adapter).inc()
        logger.info("evicted", adapter=version.adapter, version=version.id)

    def facts(self) -> Iterator[AdapterFacts]:
        """Give what the metrics show of each adapter, at the time of a scrape."""
        resident = {version.digest for version in self.residency.resident()}
        for status in self._registry.snapshot():
            yield _facts(status, status.live is not None and status.live.digest in resident)


def _facts(status: AdapterStatus, resident: bool) -> AdapterFacts:
    live = status.live
    return AdapterFacts(
        status.name,
        state=str(status.state),
        version=live.digest[:DIGEST_PREFIX] if live else None,
        format=live.spec.format if live else None,
        rank=live.spec.rank if live else None,
        level=None if live is None else "engine" if resident else "store",
        approximate=live.spec.approximate if live else None,
    )


def _reasons(error: AdapterRejected) -> tuple[Reason, ...]:
    return tuple(Reason("engine", text) for text in error.reasons)

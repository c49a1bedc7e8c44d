"""Changes what a name means: to a new version, to a former one, to nothing; and says when it
cannot.

A version is loaded before its name flips to it; what was live before is unloaded when its last
request has ended. Serial: the caller makes one change of an adapter at a time. Parallel: changes of
different adapters, and any number of former versions that drain in the background. Knows nothing of
folders or of the store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lorabay.catalog.registry import AdapterState
from lorabay.catalog.versions import Version
from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable, LorabayError
from lorabay.reasons import Reason

if TYPE_CHECKING:
    from lorabay.catalog.registry import Registry
    from lorabay.metrics import Metrics
    from lorabay.serving.events import EventLog
    from lorabay.serving.residency import Residency

GONE = frozenset({AdapterState.DRAINING, AdapterState.REMOVED})
"""States of a name that means nothing any more."""


class Swaps:
    """Changes one registry, and the engine behind it once there is one."""

    def __init__(self, registry: Registry, events: EventLog, metrics: Metrics) -> None:
        self._registry = registry
        self._events = events
        self._metrics = metrics
        self._residency: Residency | None = None
        self._draining: set[asyncio.Task[None]] = set()
        self._doubtful: frozenset[str] = frozenset()
        self.left_over = False
        """A version has left the engine since this was last set to False: the store may have
        something to collect.
        """

    def attach(self, residency: Residency) -> None:
        """From now on new versions go into an engine before their name flips to them."""
        self._residency = residency

    def distrust(self, names: frozenset[str]) -> None:
        """What these adapters were in the last run was let in under other checks: do not serve it
        unasked.
        """
        self._doubtful = names

    def held(self) -> frozenset[Version]:
        """Give every version whose files the engine may still read."""
        return frozenset() if self._residency is None else self._residency.held()

    async def offer(self, version: Version, key: str, *, who: str) -> None:
        """Make what a source now holds the live version of its name, unless a rollback says
        otherwise.

        Raises AdapterRejected or EngineUnavailable, with the old version still live and the attempt
        marked. Before there is an engine, what was live in the last run stays so: an engine may
        have refused what came after it.
        """
        target = self._registry.offer(version, key)
        if target == self._registry.live(version.adapter):
            self._registry.set_live(target)
            return
        if self._residency is None and self.keep_former(version.adapter, target):
            reason = Reason("engine_unavailable", "the engine is not up yet")
            self._registry.mark(version.adapter, AdapterState.PENDING, (reason,))
            raise EngineUnavailable(reason.text)
        await self._load(target, who=who)
        self._flip(target, who=who)

    def keep_former(self, name: str, target: Version | None = None) -> bool:
        """Serve what was served last, unless that is `target` itself; tells whether there is such a
        version.
        """
        live = self._registry.live(name)
        former = live or (None if name in self._doubtful else self._registry.former(name))
        if former is None or former == target:
            return False
        if live is None:
            self._registry.set_live(former)
        return True

    async def replace(self, version: Version, key: str, *, who: str) -> None:
        """Make `version` the live one, which ends a rollback; raises as `offer` does, and then
        nothing has changed.
        """
        name, before = version.adapter, self._registry.live(version.adapter)
        status = next((status for status in self._registry.snapshot() if status.name == name), None)
        try:
            if version != before:
                await self._load(version, who=who)
        except LorabayError:
            if status is None or status.state in GONE:
                self._registry.remove(name)
            else:
                self._registry.mark(name, status.state, status.reasons)
            raise
        self._registry.offer(version, key)
        self._registry.roll_back(version)
        self._flipped(before, version, who=who)

    async def roll_back(self, target: Version, *, who: str) -> None:
        """Flip to a kept version until the source of the newest one changes."""
        before = self._registry.live(target.adapter)
        if self._residency is not None:
            await self._residency.ensure(target, swap=True)
        if self._registry.live(target.adapter) != before or target not in self._registry.kept(
            target.adapter
        ):
            self._retire(target)
            raise AdapterConflict(f"adapter {target.adapter!r} was changed meanwhile")
        self._registry.roll_back(target)
        self._events.add("rolled back", who=who, adapter=target.adapter, version=target.id)
        if before is not None and before != target:
            self._metrics.swaps.labels(target.adapter).inc()
            self._retire(before)

    def remove(self, name: str, *, who: str, withdrawn: str | None = None) -> None:
        """Take a name away at once; requests that run finish, then the weights leave the engine.

        `withdrawn` is the fingerprint of its folder where that stays and no longer counts.
        """
        versions = self._registry.kept(name)
        self._registry.remove(name, withdrawn=withdrawn)
        self._events.add("removed", who=who, adapter=name)
        for version in versions:
            self._retire(version)

    def refuse(
        self,
        name: str,
        state: AdapterState,
        reasons: tuple[Reason, ...],
        *,
        who: str,
        is_name_sound: bool = True,
    ) -> None:
        """Say why the newest attempt failed; what is live, or was in the last run, is served on."""
        if is_name_sound:
            self.keep_former(name)
        self._registry.mark(name, state, reasons)
        self._events.add(
            state.value, who=who, adapter=name, result="; ".join(reason.text for reason in reasons)
        )
        for reason in reasons:
            self._metrics.rejected.labels(reason.code).inc()

    async def forget(self, versions: frozenset[Version]) -> None:
        """Take versions that are not in use out of the engine."""
        for version in versions:
            await self._drop(version)

    async def stop(self) -> None:
        """Let go of versions that still drain."""
        draining = tuple(self._draining)
        for task in draining:
            task.cancel()
        await asyncio.gather(*draining, return_exceptions=True)

    async def _load(self, target: Version, *, who: str) -> None:
        """Bring the version that will be live into the engine; a new name's waits for its first
        request if it is full.

        Raises AdapterRejected, or EngineUnavailable, which is no fault of the version: it is
        pending then.
        """
        if self._residency is None:
            return
        name, before = target.adapter, self._registry.live(target.adapter)
        if before is None and not self._residency.has_room:
            return
        self._registry.mark(name, AdapterState.LOADING)
        try:
            await self._residency.ensure(target, swap=before is not None)
        except AdapterRejected as error:
            reasons = tuple(Reason("engine", text) for text in error.reasons)
            self.refuse(name, AdapterState.FAILED, reasons, who=who)
            raise
        except EngineUnavailable as error:
            self._registry.mark(
                name, AdapterState.PENDING, (Reason("engine_unavailable", error.message),)
            )
            raise
        except asyncio.CancelledError:
            self._retire(target)  # the name went while its new version was on its way
            raise

    def _flip(self, target: Version, *, who: str) -> None:
        before = self._registry.live(target.adapter)
        self._registry.set_live(target)
        self._flipped(before, target, who=who)

    def _flipped(self, before: Version | None, target: Version, *, who: str) -> None:
        if before == target:
            return
        self._events.add(
            "added" if before is None else "swapped",
            who=who,
            adapter=target.adapter,
            version=target.id,
        )
        if before is not None:
            self._metrics.swaps.labels(target.adapter).inc()
            self._retire(before)

    def _retire(self, version: Version) -> None:
        task = asyncio.create_task(self._unload_when_idle(version))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def _unload_when_idle(self, version: Version) -> None:
        await self._registry.idle(version)
        if self._registry.live(version.adapter) != version:
            await self._drop(version)
            self.left_over = True

    async def _drop(self, version: Version) -> None:
        try:
            if self._residency is not None:
                await self._residency.drop(version)
        except EngineUnavailable:
            return  # the engine that held it is gone, and the weights with it

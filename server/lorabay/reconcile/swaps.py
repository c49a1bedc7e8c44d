"""Changes what a name means: to another version or to nothing; and notes why it cannot.

A version is loaded before its name flips to it; the version that was live is unloaded when its last
request has ended, unless its weights are live by another version. Serial: the caller makes one
change of an adapter at a time. Parallel: changes of different adapters, and any number of former
versions that drain in the background. Knows nothing of folders or of the store's files.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.versions import Digest, Version
from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable, LorabayError
from lorabay.reasons import Reason, Rejected
from lorabay.reconcile.events import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.records import Source
    from lorabay.catalog.registry.registry import Registry
    from lorabay.metrics import Metrics
    from lorabay.reconcile.events import Actor, EventLog
    from lorabay.reconcile.store_sweep import StoreSweep


class EngineWeights(Protocol):
    """The weights in the engine, as far as a swap needs them; `Residency` once it is up."""

    @property
    def accepts_swaps(self) -> bool:
        """True if a new version can be loaded beside the one that it replaces."""
        ...

    def has_room_for(self, version: Version) -> bool:
        """Return whether further weights fit without an eviction; a whole model evicts nothing."""
        ...

    def placed(self) -> frozenset[Digest]:
        """Return all weights with a place, whose files the engine may still read."""
        ...

    async def ensure(self, version: Version, *, swap: bool = False) -> None:
        """Return when the weights of `version` are in the engine; see `Residency.ensure`."""
        ...

    async def drop(self, version: Version) -> None:
        """Take the weights of a version out of the engine unless they are in use."""
        ...


class NoEngine:
    """The weights in an engine that is not up yet: none, and nothing has to be loaded."""

    accepts_swaps = False

    def has_room_for(self, version: Version) -> bool:
        """Return false: nothing has to be loaded."""
        return False

    def placed(self) -> frozenset[Digest]:
        """Return nothing: there is nobody who reads files."""
        return frozenset()

    async def ensure(self, version: Version, *, swap: bool = False) -> None:
        """Return at once: live versions are loaded when the engine is up."""

    async def drop(self, version: Version) -> None:
        """Return at once."""


class Swaps:
    """The changes of one registry, and of the engine behind it once that is up."""

    def __init__(
        self, registry: Registry, sweep: StoreSweep, events: EventLog, metrics: Metrics
    ) -> None:
        self._registry = registry
        self._sweep = sweep
        self._events = events
        self._metrics = metrics
        self._weights: EngineWeights = NoEngine()
        self._draining: set[asyncio.Task[None]] = set()
        self._distrusted: frozenset[str] = frozenset()
        self._rolls_out: Callable[[Version, Version], bool] = lambda live, new: False

    def roll_out_with(self, begin: Callable[[Version, Version], bool]) -> None:
        """Ask `begin` from now on whether a folder's new version takes over by steps.

        It is called with the live version and the new one, which the engine has. If it returns
        True, it has begun a rollout, and the name does not flip.
        """
        self._rolls_out = begin

    def engine_is_up(self, weights: EngineWeights) -> None:
        """Load new versions from now on before their name flips to them."""
        self._weights = weights

    def distrust(self, names: frozenset[str]) -> None:
        """Do not serve the former versions of these adapters until they are checked again.

        They were accepted under different checks in the last run.
        """
        self._distrusted = names

    def placed(self) -> frozenset[Digest]:
        """Return all weights whose files the engine may still read."""
        return self._weights.placed()

    async def offer(self, version: Version, source: Source, *, who: Actor) -> None:
        """Make `version` live, unless a rollback is in force.

        One that asks for a rollout becomes a canary instead. Raises AdapterRejected or
        EngineUnavailable, with the old version still live and the attempt marked. Before the engine
        is up, the version of the last run stays live: an engine may have refused its successor.
        """
        target = self._registry.offer(version, source)
        if target == self._registry.live(version.adapter):
            # Live already; an attempt that failed before may have left another state.
            self._registry.set_live(target)
            return

        if not self._weights.accepts_swaps and self.keep_former(version.adapter, target):
            reason = Reason("engine_unavailable", "the engine is not up yet")
            self._registry.mark(version.adapter, AdapterState.PENDING, (reason,))
            raise EngineUnavailable(reason.text)

        await self._load(target, who=who)
        # Asked after the load: meanwhile the engine's death may have made another version live.
        before = self._registry.live(target.adapter)
        is_new = target == version and before is not None and before != target
        if is_new and before is not None and self._rolls_out(before, target):
            return

        self._registry.set_live(target)
        self._flipped(before, target, who=who)

    async def take(self, name: str, result: Version | Rejected, source: Source) -> bool:
        """Offer what was read from a source without anybody's asking, or note why it cannot be.

        Return False if the same source should be tried again later: it is not to blame.
        """
        if isinstance(result, Rejected):
            self.refuse(name, AdapterState.REJECTED, result.reasons, who=FOLDER)
            return not result.transient

        # No `await` until the registry knows the version: a sweep in between would remove it.
        try:
            await self.offer(result, source, who=FOLDER)
        except AdapterRejected:
            return True
        except EngineUnavailable:
            return False
        return True

    def keep_former(self, name: str, target: Version | None = None) -> bool:
        """Make sure that the version that was live last is live, if need be that of the last run.

        Return False, with nothing changed, if there is none, or if it is `target`.
        """
        status = self._registry.status(name)
        if status is None:
            return False

        former = status.live
        if former is None and status.kept and name not in self._distrusted:
            former = status.kept[0]
        if former is None or former == target:
            return False

        if status.live is None:
            self._registry.set_live(former)
        return True

    async def replace(
        self,
        version: Version,
        source: Source,
        *,
        who: Actor,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Make `version` live, which ends a rollback.

        Raises as `offer` does, and then nothing has changed; AdapterConflict if it is not wanted
        any more when it has been loaded.
        """
        name = version.adapter
        before = self._registry.status(name)
        live = self._registry.live(name)
        try:
            if version != live:
                await self._load(version, who=who)
        except LorabayError:
            # The admin hears why; the adapter is shown as if nothing had been tried.
            if before is None or before.is_gone or not is_wanted():
                self._registry.note_gone(name)
            else:
                self._registry.mark(name, before.state, before.reasons)
            raise

        # An admin who unloads the name does not wait for the load.
        if not is_wanted():
            self.retire(version)
            raise AdapterConflict(f"adapter {name!r} was unloaded meanwhile")

        # In this order: going back to the version that the source holds ends a rollback.
        self._registry.offer(version, source)
        self._registry.roll_back(version)
        self._flipped(live, version, who=who)

    def remove(
        self,
        name: str,
        *,
        who: Actor,
        withdrawn: str | None = None,
        withdrawn_digest: Digest | None = None,
    ) -> None:
        """Take a name away at once; requests that run finish, then the weights leave the engine.

        `withdrawn` is the fingerprint of its folder if that stays and no longer counts, and
        `withdrawn_digest` the version in it, if that is known.
        """
        # Taken now: the registry does not tell them of a name that is gone.
        status = self._registry.status(name)
        versions = status.kept if status is not None else ()
        self._registry.remove(name, withdrawn=withdrawn, withdrawn_digest=withdrawn_digest)
        self._events.add("removed", who=who, adapter=name)
        for version in versions:
            self.retire(version)

    def refuse(
        self,
        name: str,
        state: AdapterState,
        reasons: tuple[Reason, ...],
        *,
        who: Actor,
        serve_former: bool = True,
    ) -> None:
        """Note why the newest attempt failed.

        With `serve_former` the version that was live last is served on.
        """
        if serve_former:
            self.keep_former(name)

        self._registry.mark(name, state, reasons)
        result = "; ".join(reason.text for reason in reasons)
        self._events.add(state.value, who=who, adapter=name, result=result)
        for reason in reasons:
            self._metrics.rejected.labels(reason.code).inc()

    async def load_beside(self, version: Version) -> None:
        """Bring a version into the engine beside the one that it will replace.

        Raises AdapterRejected or EngineUnavailable.
        """
        await self._weights.ensure(version, swap=True)

    def retire_replaced(self, before: Version | None, target: Version) -> None:
        """Count a flip from `before` to `target`, and unload `before` when its requests end."""
        if before is not None and before != target:
            self._metrics.of(target.adapter, self._metrics.swaps).inc()
            self.retire(before)

    def retire(self, version: Version) -> None:
        """Unload a version in the background when its last request has ended, unless it is live."""
        task = asyncio.create_task(self._unload_when_idle(version))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def unload(self, versions: frozenset[Version]) -> None:
        """Take versions out of the engine whose weights are not in use, and that no name means."""
        for version in versions:
            if version.weights not in self._registry.live_weights():
                await self._drop(version)

    async def stop(self) -> None:
        """Stop waiting for versions that still drain."""
        draining = tuple(self._draining)
        for task in draining:
            task.cancel()
        await asyncio.gather(*draining, return_exceptions=True)

    async def _load(self, target: Version, *, who: Actor) -> None:
        """Bring the version that will be live into the engine.

        If the engine is full, a new name's version waits for its first request. Raises
        AdapterRejected, or EngineUnavailable, which is not a fault of the version: it is pending.
        """
        name = target.adapter
        live = self._registry.live(name)
        # Nobody has asked for a new name yet: it must not evict a version that is asked for.
        if live is None and not self._weights.has_room_for(target):
            return

        self._registry.mark(name, AdapterState.LOADING)
        try:
            await self._weights.ensure(target, swap=live is not None)
        except AdapterRejected as error:
            reasons = tuple(Reason("engine", text) for text in error.reasons)
            self.refuse(name, AdapterState.FAILED, reasons, who=who)
            raise
        except EngineUnavailable as error:
            reason = Reason(error.code, error.message)
            self._registry.mark(name, AdapterState.PENDING, (reason,))
            raise
        except asyncio.CancelledError:
            # The name went while its new version was being loaded.
            self.retire(target)
            raise

    def _flipped(self, before: Version | None, target: Version, *, who: Actor) -> None:
        if before == target:
            return

        event = "added" if before is None else "swapped"
        self._events.add(event, who=who, adapter=target.adapter, version=target.id)
        self.retire_replaced(before, target)

    async def _unload_when_idle(self, version: Version) -> None:
        await self._registry.idle(version)
        # A rollback may have made it live again meanwhile.
        if self._registry.live(version.adapter) == version:
            return

        if version.weights not in self._registry.live_weights():
            await self._drop(version)
        self._sweep.request()

    async def _drop(self, version: Version) -> None:
        try:
            await self._weights.drop(version)
        except EngineUnavailable:
            return  # the engine that held it is gone, and the weights with it

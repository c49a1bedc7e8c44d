"""Names, their live versions, and leases on them: the one place that knows an adapter's state.

Ask `Registry.status(name)` for everything that is known about one adapter. The registry runs on one
event loop without a lock: every method but `idle` finishes without awaiting, so that look-up and
lease are one step, and so is a flip. A lease keeps its version usable until it is released,
whatever happens to the name meanwhile. `Records` carry over a restart what an admin chose (pins,
rollbacks) and what the adapter's source held. A version of the last run that cannot be offered in
this one stays in the record: only one that is certainly gone from the store is dropped.

Knows nothing of the engine: the caller loads a version before it calls `set_live`, and unloads it
after `idle`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lorabay.catalog.permission import EVERYTHING
from lorabay.catalog.records import AdminSource, FolderSource, Rollback
from lorabay.catalog.registry import needs, removed
from lorabay.catalog.registry.adapter_state import GONE, Adapter, AdapterState, AdapterStatus
from lorabay.catalog.registry.adapter_table import AdapterTable
from lorabay.catalog.registry.last_run import LastRun
from lorabay.catalog.registry.lease_counts import LeaseCounts
from lorabay.catalog.registry.leases import Lease
from lorabay.catalog.registry.lookup import version_of
from lorabay.catalog.registry.shared_names import SharedNames
from lorabay.catalog.registry.unwanted_folders import UnwantedFolders
from lorabay.catalog.versions import DIGEST_PREFIX, NO_VERSION, Digest, Version
from lorabay.errors import AdapterConflict, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.permission import Permission
    from lorabay.catalog.records import Source
    from lorabay.catalog.registry.adapter_table import Memory
    from lorabay.reasons import Reason


class Registry:
    """The adapters of one server.

    `keep` is the number of former versions that stay available beside an adapter's live one.
    `removed_keep_s` is how long a name that was taken away is remembered: an adapter that comes
    back within it takes up its former versions and what its folder held. `clock` counts seconds
    that pass; `wall` is the time that records are stamped with. `last_run` has the versions that
    records remember, `unwanted` the folders that an admin unloaded or loaded others over, and
    `shared` what other servers are told of names, or this one takes over.
    """

    def __init__(
        self,
        base_names: tuple[str, ...],
        records: Memory,
        *,
        keep: int = 2,
        removed_keep_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._base_names = base_names
        self._keep = keep
        self._removed = removed.RemovedNames(removed_keep_s, clock, wall)
        self._table = AdapterTable(records)
        self._leases = LeaseCounts(self._table.adapters, fell_idle=self._fell_idle)
        self._became_idle: Callable[[Version], None] = lambda version: None

        self.last_run = LastRun(self._table, self._removed)
        self.unwanted = UnwantedFolders(self._table)
        self.shared = SharedNames(self._table, self.last_run, self._removed)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything that is remembered is on disk; return whether it is. Blocks."""
        return self._table.records.flush(timeout_s)

    def unwritten(self) -> Mapping[AdapterName, Mapping[str, object]]:
        """Return the fields of each record that are remembered and not on disk yet."""
        return self._table.records.unwritten()

    def acquire(self, model: str, permission: Permission = EVERYTHING) -> Lease:
        """Return a lease on the version that `model` names.

        Raises ModelNotFound, also for what may not be used.
        """
        version = self.find(model, permission)
        if version is None:
            return Lease(None)

        # No await since the look-up: a flip in between could unload the version before its lease.
        self._table[version.adapter].last_used[version] = time.time()
        return self._leases.take(version)

    def find(self, model: str, permission: Permission = EVERYTHING) -> Version | None:
        """Return the version that `model` names, or None for a name of the base.

        `model` is `finance`, `finance@<digest prefix>`, `finance@canary`, each also behind
        `<base>:`, or a base name.
        Raises ModelNotFound. What may not be used is no different from what does not exist.
        """
        # All of it in any case: the time of an answer does not tell what there is, either.
        is_base = model in self._base_names
        version = version_of(model, self._table.adapters, self._base_names)
        may_use_base = permission.allows_base()
        may_use = permission.allows(NO_VERSION if version is None else version)

        if is_base and may_use_base:
            return None
        if is_base or version is None or not may_use:
            raise ModelNotFound(model)
        return version

    def offered(self, permission: Permission = EVERYTHING) -> Iterator[tuple[str, Version]]:
        """Yield the names that may be used, sorted, each with the version that it means.

        An adapter of which only former versions may be used is named by those.
        """
        for name in self.names():
            adapter = self._table[name]
            if adapter.live is not None and permission.allows(adapter.live):
                yield name, adapter.live
                continue
            for version in adapter.kept:
                if permission.allows(version):
                    yield version.id, version

    def names(self) -> tuple[AdapterName, ...]:
        """Return the adapters that can be asked for, sorted."""
        return tuple(sorted(version.adapter for version in self._live_versions()))

    def live(self, name: str) -> Version | None:
        """Return the version that `name` means now."""
        adapter = self._table.get(name)
        return adapter.live if adapter is not None else None

    def is_present(self, name: str) -> bool:
        """Return whether `name` is an adapter's that was not taken away, served yet or not."""
        adapter = self._table.get(name)
        return adapter is not None and adapter.state not in GONE

    def status(self, name: str) -> AdapterStatus | None:
        """Return everything that is known about one adapter; None if nothing is."""
        adapter = self._table.get(name)
        return None if adapter is None else adapter.status(name)

    def snapshot(self) -> tuple[AdapterStatus, ...]:
        """Return the status of every adapter, by name.

        A name that was taken away, and is remembered only for its return, is none.
        """
        statuses: list[AdapterStatus] = []
        for name in sorted(self._table.adapters):
            adapter = self._table[name]
            if not removed.is_past(adapter):
                statuses.append(adapter.status(name))
        return tuple(statuses)

    def sources(self) -> Iterator[tuple[str, Source | None]]:
        """Yield each name that was not taken away, with where its newest version came from.

        Costs a tenth of a `snapshot`: every look at the directory asks.
        """
        for name, adapter in self._table.adapters.items():
            if adapter.state not in GONE:
                yield name, adapter.record.source

    def leases(self, version: Version) -> int:
        """Return how many requests hold `version`."""
        return self._leases.on(version)

    def leases_on(self, weights: Digest) -> int:
        """Return how many requests hold a version that has these weights."""
        return self._leases.on_weights(weights)

    def live_weights(self) -> frozenset[Digest]:
        """Return the weights that some name means now."""
        return frozenset(version.weights for version in self._live_versions())

    def pinned_weights(self) -> frozenset[Digest]:
        """Return the weights of the live versions of pinned adapters."""
        live = self._live_versions()
        return frozenset(
            version.weights for version in live if self._table[version.adapter].record.pinned
        )

    def _live_versions(self) -> Iterator[Version]:
        for adapter in self._table.adapters.values():
            if adapter.live is not None:
                yield adapter.live

    async def idle(self, version: Version) -> None:
        """Return when nobody holds `version`.

        A kept version may be asked for again: check `leases` before unloading it.
        """
        await self._leases.idle(version)

    def when_idle(self, call: Callable[[Version], None]) -> None:
        """Call `call` from now on with each version whose last lease ends."""
        self._became_idle = call

    def _fell_idle(self, version: Version) -> None:
        self._table.forget_when_drained(version.adapter)
        self._became_idle(version)

    def when_changed(self, call: Callable[[str, AdapterState, AdapterState], None]) -> None:
        """Call `call` from now on with each adapter whose state changes, and both states."""
        self._table.when_changed(call)

    def mark(self, name: str, state: AdapterState, reasons: tuple[Reason, ...] = ()) -> None:
        """Note how the newest attempt goes; the live version, if any, stays live.

        Call `set_live` for success.
        """
        self._table.get_or_add(name)
        self._table.set_state(name, state, reasons)

    def offer(self, version: Version, source: Source) -> Version:
        """Note that `source` now holds `version`; return the version that should be live.

        That is `version`, or the target of a rollback. A source that holds something else than the
        version that was rolled back from ends the rollback.
        """
        adapter = self._table.get_or_add(version.adapter)
        target = adapter.rolled_back_to(version)
        rollback = None
        # A target that cannot be offered now will be, in another run: the choice stays.
        if target is not None or adapter.waits_for_its_target(version):
            rollback = adapter.record.rollback

        self._table.save(
            version.adapter,
            source=source,
            source_digest=version.digest,
            rollback=rollback,
            withdrawn=None,
            withdrawn_digest=None,
        )
        return version if target is None else target

    def remembered(self, name: str, source: Source) -> Digest | None:
        """Return the version that this very source held when it was last read, if it is known."""
        adapter = self._table.get(name)
        if adapter is None:
            return None

        before = adapter.record.source
        if isinstance(before, FolderSource):
            is_same = before.is_same_folder(source)
        else:
            is_same = before == source
        return adapter.record.source_digest if is_same else None

    def set_live(self, version: Version) -> None:
        """Flip the name to `version`, which the engine has loaded; older leases go on."""
        kept = self._table.get_or_add(version.adapter).flip_to(version, self._keep)
        self._table.set_state(version.adapter, AdapterState.READY)
        self._table.save(version.adapter, kept=kept, removed_at=None)

    def remove(
        self, name: str, *, withdrawn: str | None = None, withdrawn_digest: Digest | None = None
    ) -> None:
        """Take a name away at once; running requests finish, and a pin outlives it.

        `withdrawn` is the fingerprint of a folder that is still there and no longer wanted, and
        `withdrawn_digest` the version in it, if that is known.
        """
        adapter = self._table.get(name)
        if adapter is None:
            return

        # What an admin named is not what the folder holds that comes back.
        if isinstance(adapter.record.source, AdminSource):
            self._table.save(name, source=None, source_digest=None, rollback=None)

        # The pin stays in the record: it is the admin's, and holds when the adapter comes back.
        has_past = bool(adapter.record.kept)
        self._table.save(
            name,
            withdrawn=withdrawn,
            withdrawn_digest=withdrawn_digest,
            removed_at=self._removed.wall() if has_past else None,
            canary=None,
            rollout=None,
        )
        adapter.live = None
        self._removed.begin(adapter)
        self._table.set_state(name, AdapterState.DRAINING)

        if not has_past or not self._removed.keep_s:
            self._forget_past(name)
        self._table.forget_when_drained(name)

    def note_gone(self, name: str) -> None:
        """Show a name that is not served as taken away: what was tried for it came to nothing."""
        adapter = self._table.get(name)
        if adapter is not None and adapter.live is None:
            self._table.set_state(name, AdapterState.DRAINING)
            self._table.forget_when_drained(name)

    def forget_removed(self) -> bool:
        """Forget the names that were taken away long enough ago; return whether there were any."""
        past = self._removed.due(self._table.adapters)
        for name in past:
            self._forget_past(name)
            self._table.forget_when_drained(name)
        return bool(past)

    def _forget_past(self, name: str) -> None:
        """Forget the former versions of a name that was taken away, and what its folder held."""
        adapter = self._table[name]
        adapter.kept, adapter.withheld = (), {}
        self._table.save(name, kept=(), rollback=None, removed_at=None)
        # What a folder holds that is back, and is not live for another reason, is no past.
        if adapter.state in GONE:
            self._table.save(name, source=None, source_digest=None)

    def set_quarantined(self, version: Version, quarantined: bool) -> None:
        """Remember over a restart that the weights of a version kill engines, or no longer."""
        record = self._table.get_or_add(version.adapter).record
        digests = [digest for digest in record.quarantined if digest != version.weights]
        if quarantined:
            digests.insert(0, version.weights)
        self._table.save(version.adapter, quarantined=tuple(digests))

    def quarantined(self) -> frozenset[Digest]:
        """Return the weights that are known to kill engines."""
        digests: set[Digest] = set()
        for adapter in self._table.adapters.values():
            digests.update(adapter.record.quarantined)
        return frozenset(digests)

    def rollback_target(self, name: str, digest_prefix: str | None = None) -> Version:
        """Return the kept version to go back to: the named one, or the one that was live before.

        Raises AdapterConflict.
        """
        adapter = self._table.get(name) or Adapter()
        if digest_prefix is None:
            target = adapter.former_version()
        else:
            target = adapter.kept_version(digest_prefix)

        if adapter.live is None or target is None:
            raise AdapterConflict(f"adapter {name!r} has no such kept version to roll back to")
        return target

    def roll_back(self, target: Version) -> None:
        """Flip to `target`, which the engine has loaded, until the source changes."""
        adapter = self._table[target.adapter]
        live = adapter.live or target
        instead_of = adapter.record.source_digest or live.digest
        self.set_live(target)

        # Going back to the version that the source holds is no rollback, but the end of one.
        rollback = None
        if instead_of != target.digest:
            rollback = Rollback(to=target.digest, instead_of=instead_of)
        self._table.save(target.adapter, rollback=rollback)

    def rollout_target(self, name: str, digest_prefix: str | None = None) -> Version:
        """Return the kept version to roll out: the named one, or what the source holds.

        Raises AdapterConflict, also for the live version.
        """
        adapter = self._table.get(name) or Adapter()
        prefix = adapter.record.source_digest if digest_prefix is None else digest_prefix
        target = None if prefix is None else adapter.kept_version(prefix)
        if target is not None and target != adapter.live:
            return target

        others = [version.id for version in adapter.kept if version != adapter.live]
        there_are = f"kept are {', '.join(others)}" if others else "it has no other kept version"
        if digest_prefix is None:
            raise AdapterConflict(
                f"adapter {name!r}: the folder holds the live version; name the one to roll out: "
                f"{there_are}"
            )
        if target is not None:
            raise AdapterConflict(f"{target.id} is the live version already; {there_are}")
        raise AdapterConflict(
            f"adapter {name!r} has no kept version {digest_prefix[:64]!r} to roll out; {there_are}"
        )

    def hold_back(self, version: Version) -> None:
        """Keep what the source holds now, while the name goes on to mean the live version.

        As after a rollback, until the source holds something else.
        """
        adapter = self._table[version.adapter]
        live = adapter.live or version
        kept = adapter.hold_back(version, self._keep)
        self._table.set_state(version.adapter, AdapterState.READY)
        self._table.save(
            version.adapter,
            kept=kept,
            rollback=Rollback(to=live.digest, instead_of=version.digest),
        )

    def canary(self, name: str) -> Version | None:
        """Return the version that is being rolled out; None if none is, or it cannot be offered."""
        adapter = self._table.get(name)
        return None if adapter is None else adapter.canary

    def set_rollout(
        self, name: str, rollout: Mapping[str, object], canary: Digest | None = None
    ) -> None:
        """Remember a rollout over a restart; `canary` is its version while it runs."""
        self._table.save(name, rollout=dict(rollout), canary=canary)

    def rollout(self, name: str) -> Mapping[str, object] | None:
        """Return what is remembered of the rollout of a name; None if nothing is."""
        adapter = self._table.get(name)
        return None if adapter is None else adapter.record.rollout

    def rollouts(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Yield each name of which a rollout is remembered, with what is."""
        for name, adapter in self._table.adapters.items():
            if adapter.record.rollout is not None:
                yield name, adapter.record.rollout

    def set_pinned(self, name: str, pinned: bool) -> None:
        """Pin an adapter or take its pin off, also one that outlived its adapter.

        Raises AdapterConflict for a name that is not served.
        """
        adapter = self._table.get(name)
        if adapter is None or (adapter.live is None and (pinned or not adapter.record.pinned)):
            raise AdapterConflict(
                f"adapter {name!r} is not served, so it cannot be pinned or unpinned"
            )
        self._table.save(name, pinned=pinned)
        self._table.forget_when_drained(name)

    def forget(self, digest: Digest) -> None:
        """Drop a kept version from every adapter.

        Raises AdapterConflict if it is live, in use, held by a source, or not kept at all.
        """
        obstacle = needs.obstacle_to_forgetting(self._table.adapters, digest)
        if obstacle is not None:
            raise AdapterConflict(f"version {digest[:DIGEST_PREFIX]} is {obstacle}")
        for name in needs.keepers(self._table.adapters, digest):
            self._forget_version(name, digest)

    def _forget_version(self, name: str, digest: Digest) -> None:
        adapter = self._table[name]
        adapter.drop(digest)

        record = adapter.record
        # A rollback to it cannot come into force again.
        is_target = record.rollback is not None and record.rollback.to == digest
        self._table.save(
            name,
            kept=tuple(other for other in record.kept if other != digest),
            rollback=None if is_target else record.rollback,
        )

        if not adapter.is_removed:
            return
        if record.source_digest == digest:
            self._table.save(name, source=None, source_digest=None)
        if not adapter.record.kept:
            self._forget_past(name)
            self._table.forget_when_drained(name)

    def in_use(self) -> frozenset[Digest]:
        """Return the versions that the store must keep: leased, or named by a record.

        A record names the live one, those that are kept, offered or not, what the source holds, the
        canary of a rollout, and where a rollback leads.
        """
        return needs.needed(self._table.adapters)

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

import asyncio
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Protocol

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import AdminSource, FolderSource, Record, Rollback
from lorabay.catalog.registry import needs, removed, unwanted, withheld
from lorabay.catalog.registry.adapter_state import GONE, Adapter, AdapterState, AdapterStatus
from lorabay.catalog.registry.leases import Lease
from lorabay.catalog.versions import DIGEST_PREFIX, Digest, Version
from lorabay.errors import AdapterConflict, ModelNotFound, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.catalog.records import Source
    from lorabay.catalog.registry.withheld import Found
    from lorabay.reasons import Reason

    Find = Callable[[AdapterName, Digest], Found]


class Memory(Protocol):
    """The records on disk: `Records`, or a `RecordKeeper` that writes them in the background."""

    def load(self) -> dict[AdapterName, Record]:
        """Return every record by the name of its adapter; raises SetupError."""
        ...

    def update(
        self, name: AdapterName, changes: Mapping[str, object], memory: Record | None = None
    ) -> None:
        """Write some fields of a record, which is `memory` with them."""
        ...

    def unwritten(self) -> Mapping[AdapterName, Mapping[str, object]]:
        """Return the fields of each record that are not on disk yet."""
        ...

    def flush(self, timeout_s: float) -> bool:
        """Wait until every update is on disk; return whether it is."""
        ...


class Registry:
    """The adapters of one server.

    `keep` is the number of former versions that stay available beside an adapter's live one.
    `removed_keep_s` is how long a name that was taken away is remembered: an adapter that comes
    back within it takes up its former versions and what its folder held. `clock` counts seconds
    that pass; `wall` is the time that records are stamped with.
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
        self._records = records
        self._keep = keep
        self._removed = removed.RemovedNames(removed_keep_s, clock, wall)
        self._adapters: dict[str, Adapter] = {}
        self._leases_on: Counter[Digest] = Counter()
        """Leases by weights, whatever the versions are that share them."""
        self._waiters: defaultdict[Version, list[asyncio.Future[None]]] = defaultdict(list)
        self._became_idle: Callable[[Version], None] = lambda version: None
        self._changed: Callable[[str, AdapterState, AdapterState], None] = (
            lambda name, before, after: None
        )
        self._find: Find = lambda name, digest: None

    def restore(self, find: Find) -> None:
        """Take up the records of the last run; nothing is live yet. Blocks; raises SetupError.

        `find` returns a stored version, why it is not offered in this run, or None if it is
        certainly gone. It raises SetupError if the disk does not say: see `unread`.
        """
        self._find = find
        for name, record in self._records.load().items():
            adapter = self._adapters[name] = Adapter(AdapterState.REMOVED, record=record)
            self.take_up(name, {digest: self.look_up(name, digest) for digest in record.kept})
            self._removed.go_on(adapter)
            if adapter.record.kept and not adapter.is_removed:
                adapter.state = AdapterState.PENDING

    def look_up(self, name: AdapterName, digest: Digest) -> Found:
        """Ask the store for a version of the last run; blocks, and may be called in any thread."""
        try:
            return self._find(name, digest)
        except SetupError:
            return withheld.NOT_READ

    def unread(self) -> tuple[tuple[AdapterName, Digest], ...]:
        """Return the versions of the last run that the disk has not given yet."""
        return tuple(withheld.unread(self._adapters))

    def take_up(self, name: str, results: Mapping[Digest, Found]) -> None:
        """Note what became of versions of the last run: `results` are those of `look_up`."""
        adapter = self._adapters.get(name)
        if adapter is not None:
            withheld.take_up(adapter, results)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything that is remembered is on disk; return whether it is. Blocks."""
        return self._records.flush(timeout_s)

    def unwritten(self) -> Mapping[AdapterName, Mapping[str, object]]:
        """Return the fields of each record that are remembered and not on disk yet."""
        return self._records.unwritten()

    def acquire(self, model: str) -> Lease:
        """Return a lease on the version that `model` names; raises ModelNotFound."""
        version = self.find(model)
        if version is None:
            return Lease(None)

        # No await since the look-up: a flip in between could unload the version before its lease.
        adapter = self._adapters[version.adapter]
        adapter.leases[version] += 1
        self._leases_on[version.weights] += 1
        adapter.last_used[version] = time.time()
        return Lease(version, lambda: self._released(version))

    def find(self, model: str) -> Version | None:
        """Return the version that `model` names, or None for a name of the base.

        `model` is `finance`, `finance@<digest prefix>`, either behind `<base>:`, or a base name.
        Raises ModelNotFound.
        """
        if model in self._base_names:
            return None

        version = self._resolve(model)
        if version is None:
            raise ModelNotFound(model)
        return version

    def _resolve(self, model: str) -> Version | None:
        for base in self._base_names:
            if model.startswith(f"{base}:"):
                model = model.removeprefix(f"{base}:")
                break

        name, at, prefix = model.partition("@")
        adapter = self._adapters.get(name)
        if adapter is None or adapter.live is None:
            return None
        return adapter.kept_version(prefix) if at else adapter.live

    def names(self) -> tuple[AdapterName, ...]:
        """Return the adapters that can be asked for, sorted."""
        live = (adapter.live for adapter in self._adapters.values())
        return tuple(sorted(version.adapter for version in live if version is not None))

    def live(self, name: str) -> Version | None:
        """Return the version that `name` means now."""
        adapter = self._adapters.get(name)
        return adapter.live if adapter is not None else None

    def is_present(self, name: str) -> bool:
        """Return whether `name` is an adapter's that was not taken away, served yet or not."""
        adapter = self._adapters.get(name)
        return adapter is not None and adapter.state not in GONE

    def status(self, name: str) -> AdapterStatus | None:
        """Return everything that is known about one adapter; None if nothing is."""
        adapter = self._adapters.get(name)
        return None if adapter is None else adapter.status(name)

    def snapshot(self) -> tuple[AdapterStatus, ...]:
        """Return the status of every adapter, by name.

        A name that was taken away, and is remembered only for its return, is none.
        """
        shown = sorted(
            name for name, adapter in self._adapters.items() if not removed.is_past(adapter)
        )
        statuses = (self.status(name) for name in shown)
        return tuple(status for status in statuses if status is not None)

    def leases(self, version: Version) -> int:
        """Return how many requests hold `version`."""
        adapter = self._adapters.get(version.adapter)
        return adapter.leases[version] if adapter is not None else 0

    def leases_on(self, weights: Digest) -> int:
        """Return how many requests hold a version that has these weights."""
        return self._leases_on[weights]

    def live_weights(self) -> frozenset[Digest]:
        """Return the weights that some name means now."""
        live = (adapter.live for adapter in self._adapters.values())
        return frozenset(version.weights for version in live if version is not None)

    def pinned_weights(self) -> frozenset[Digest]:
        """Return the weights of the live versions of pinned adapters."""
        pinned = (adapter for adapter in self._adapters.values() if adapter.record.pinned)
        return frozenset(adapter.live.weights for adapter in pinned if adapter.live is not None)

    async def idle(self, version: Version) -> None:
        """Return when nobody holds `version`.

        A kept version may be asked for again: check `leases` before unloading it.
        """
        while self.leases(version):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters[version].append(waiter)
            await waiter

    def when_idle(self, call: Callable[[Version], None]) -> None:
        """Call `call` from now on with each version whose last lease ends."""
        self._became_idle = call

    def when_changed(self, call: Callable[[str, AdapterState, AdapterState], None]) -> None:
        """Call `call` from now on with each adapter whose state changes, and both states."""
        self._changed = call

    def mark(self, name: str, state: AdapterState, reasons: tuple[Reason, ...] = ()) -> None:
        """Note how the newest attempt goes; the live version, if any, stays live.

        Call `set_live` for success.
        """
        self._set_state(name, self._adapters.setdefault(name, Adapter()), state, reasons)

    def offer(self, version: Version, source: Source) -> Version:
        """Note that `source` now holds `version`; return the version that should be live.

        That is `version`, or the target of a rollback. A source that holds something else than the
        version that was rolled back from ends the rollback.
        """
        adapter = self._adapters.setdefault(version.adapter, Adapter())
        target = adapter.rolled_back_to(version)
        # A target that cannot be offered now will be, in another run: the choice stays.
        is_waiting = adapter.waits_for_its_target(version)
        rollback = adapter.record.rollback if is_waiting or target is not None else None

        self._save(
            version.adapter,
            adapter,
            source=source,
            source_digest=version.digest,
            rollback=rollback,
            withdrawn=None,
            withdrawn_digest=None,
        )
        return version if target is None else target

    def remembered(self, name: str, source: Source) -> Digest | None:
        """Return the version that this very source held when it was last read, if it is known."""
        adapter = self._adapters.get(name)
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
        adapter = self._adapters.setdefault(version.adapter, Adapter())
        # The version that was live is the newest of the former ones; the oldest is kept no more.
        # Each flip moves a version to the front: the one that was live longest ago falls out first.
        # Those that are withheld count as well: they are as much a choice for later.
        others = (digest for digest in adapter.record.kept if digest != version.digest)
        digests = (version.digest, *others)[: self._keep + 1]
        offered = {other.digest: other for other in (*adapter.kept, version)}
        kept = tuple(offered[digest] for digest in digests if digest in offered)

        adapter.live, adapter.kept = version, kept
        adapter.withheld = {
            digest: why
            for digest, why in adapter.withheld.items()
            if digest in digests and digest not in offered
        }
        adapter.last_used = {
            other: when for other, when in adapter.last_used.items() if other in kept
        }
        self._set_state(version.adapter, adapter, AdapterState.READY)
        self._save(version.adapter, adapter, kept=digests, removed_at=None)

    def remove(
        self, name: str, *, withdrawn: str | None = None, withdrawn_digest: Digest | None = None
    ) -> None:
        """Take a name away at once; running requests finish, and a pin outlives it.

        `withdrawn` is the fingerprint of a folder that is still there and no longer wanted, and
        `withdrawn_digest` the version in it, if that is known.
        """
        adapter = self._adapters.get(name)
        if adapter is None:
            return

        # What an admin named is not what the folder holds that comes back.
        if isinstance(adapter.record.source, AdminSource):
            self._save(name, adapter, source=None, source_digest=None, rollback=None)

        removed_at = self._removed.wall() if adapter.record.kept else None
        self._save(
            name,
            adapter,
            withdrawn=withdrawn,
            withdrawn_digest=withdrawn_digest,
            removed_at=removed_at,
        )
        adapter.live = None
        self._removed.begin(adapter)
        self._set_state(name, adapter, AdapterState.DRAINING)

        # The pin stays in the record: it is the admin's, and holds when the adapter comes back.
        if removed_at is None or not self._removed.keep_s:
            self._forget_past(name)
        self._forget_when_drained(name)

    def note_gone(self, name: str) -> None:
        """Show a name that is not served as taken away: what was tried for it came to nothing."""
        adapter = self._adapters.get(name)
        if adapter is not None and adapter.live is None:
            self._set_state(name, adapter, AdapterState.DRAINING)
            self._forget_when_drained(name)

    def forget_removed(self) -> bool:
        """Forget the names that were taken away long enough ago; return whether there were any."""
        past = self._removed.due(self._adapters)
        for name in past:
            self._forget_past(name)
            self._forget_when_drained(name)
        return bool(past)

    def _forget_past(self, name: str) -> None:
        """Forget the former versions of a name that was taken away, and what its folder held."""
        adapter = self._adapters[name]
        adapter.kept, adapter.withheld = (), {}
        self._save(name, adapter, kept=(), rollback=None, removed_at=None)
        # What a folder holds that is back, and is not live for another reason, is no past.
        if adapter.state in GONE:
            self._save(name, adapter, source=None, source_digest=None)

    def withdrawn(self) -> dict[str, str]:
        """Return the fingerprints of the folders that an admin has unloaded, by name."""
        return unwanted.withdrawn(
            {name: adapter.record for name, adapter in self._adapters.items()}
        )

    def forget_unwanted(self, name: str) -> None:
        """Note that a folder that an admin did not want is gone: the next one is another."""
        adapter = self._adapters.get(name)
        if adapter is None:
            return

        was_withdrawn = bool(adapter.record.withdrawn)
        self._save(name, adapter, **unwanted.nothing(adapter.record))
        if was_withdrawn:
            self._forget_when_drained(name)

    def is_unwanted(self, name: str, fingerprint: str, digest: Digest | None = None) -> bool:
        """Return whether an admin does not want what the name's own folder holds.

        That is what the folder held when it was unloaded, or when another folder was loaded over
        it, under whatever `fingerprint` it is found now; `digest` is the version in it if that is
        known.
        """
        adapter = self._adapters.get(name)
        return adapter is not None and unwanted.is_unwanted(adapter.record, fingerprint, digest)

    def note_unwanted(self, name: str, fingerprint: str) -> None:
        """Note that a folder with this fingerprint holds what an admin does not want."""
        adapter = self._adapters[name]
        self._save(name, adapter, **unwanted.found_as(adapter.record, fingerprint))
        if adapter.record.withdrawn:
            self._set_state(name, adapter, AdapterState.DRAINING)
            self._forget_when_drained(name)

    def set_quarantined(self, version: Version, quarantined: bool) -> None:
        """Remember over a restart that the weights of a version kill engines, or no longer."""
        adapter = self._adapters.setdefault(version.adapter, Adapter())
        digests = tuple(
            digest for digest in adapter.record.quarantined if digest != version.weights
        )
        if quarantined:
            digests = (version.weights, *digests)
        self._save(version.adapter, adapter, quarantined=digests)

    def quarantined(self) -> frozenset[Digest]:
        """Return the weights that are known to kill engines."""
        records = (adapter.record for adapter in self._adapters.values())
        return frozenset(digest for record in records for digest in record.quarantined)

    def rollback_target(self, name: str, digest_prefix: str | None = None) -> Version:
        """Return the kept version to go back to: the named one, or the one that was live before.

        Raises AdapterConflict.
        """
        adapter = self._adapters.get(name, Adapter())
        if digest_prefix is not None:
            target = adapter.kept_version(digest_prefix)
        else:
            target = next((version for version in adapter.kept if version != adapter.live), None)

        if adapter.live is None or target is None:
            raise AdapterConflict(f"adapter {name!r} has no such kept version to roll back to")
        return target

    def roll_back(self, target: Version) -> None:
        """Flip to `target`, which the engine has loaded, until the source changes."""
        adapter = self._adapters[target.adapter]
        live = adapter.live or target
        instead_of = adapter.record.source_digest or live.digest

        self.set_live(target)
        # Going back to the version that the source holds is no rollback, but the end of one.
        rollback = Rollback(to=target.digest, instead_of=instead_of)
        self._save(
            target.adapter, adapter, rollback=None if instead_of == target.digest else rollback
        )

    def set_pinned(self, name: str, pinned: bool) -> None:
        """Pin an adapter or take its pin off, also one that outlived its adapter.

        Raises AdapterConflict for a name that is not served.
        """
        adapter = self._adapters.get(name)
        if adapter is None or (adapter.live is None and (pinned or not adapter.record.pinned)):
            raise AdapterConflict(
                f"adapter {name!r} is not served, so it cannot be pinned or unpinned"
            )
        self._save(name, adapter, pinned=pinned)
        self._forget_when_drained(name)

    def forget(self, digest: Digest) -> None:
        """Drop a kept version from every adapter.

        Raises AdapterConflict if it is live, in use, held by a source, or not kept at all.
        """
        obstacle = needs.obstacle_to_forgetting(self._adapters, digest)
        if obstacle is not None:
            raise AdapterConflict(f"version {digest[:DIGEST_PREFIX]} is {obstacle}")

        for name in needs.keepers(self._adapters, digest):
            adapter = self._adapters[name]
            adapter.kept = tuple(version for version in adapter.kept if version.digest != digest)
            adapter.withheld.pop(digest, None)
            kept = tuple(other for other in adapter.record.kept if other != digest)

            # A rollback to it cannot come into force again.
            rollback = adapter.record.rollback
            if rollback is not None and rollback.to == digest:
                rollback = None
            self._save(name, adapter, kept=kept, rollback=rollback)

            if adapter.is_removed and adapter.record.source_digest == digest:
                self._save(name, adapter, source=None, source_digest=None)
            if adapter.is_removed and not kept:
                self._forget_past(name)
                self._forget_when_drained(name)

    def in_use(self) -> frozenset[Digest]:
        """Return the versions that the store must keep: leased, or named by a record.

        A record names the live one, those that are kept, offered or not, what the source holds, and
        where a rollback leads.
        """
        return needs.needed(self._adapters)

    def _set_state(
        self, name: str, adapter: Adapter, state: AdapterState, reasons: tuple[Reason, ...] = ()
    ) -> None:
        before = adapter.state
        adapter.state, adapter.reasons = state, reasons
        if before is not state:
            self._changed(name, before, state)

    def _released(self, version: Version) -> None:
        adapter = self._adapters[version.adapter]
        adapter.leases[version] -= 1
        self._leases_on[version.weights] -= 1
        if not self._leases_on[version.weights]:
            del self._leases_on[version.weights]
        if adapter.leases[version]:
            return

        # Waiters look again when they wake: somebody may have taken a lease by then.
        # Gone from the counter before anybody hears of it: whoever is called looks there.
        del adapter.leases[version]
        for waiter in self._waiters.pop(version, ()):
            if not waiter.done():
                waiter.set_result(None)
        self._forget_when_drained(version.adapter)
        self._became_idle(version)

    def _forget_when_drained(self, name: str) -> None:
        """End the draining of a name that was taken away, and forget it unless a record is left."""
        adapter = self._adapters.get(name)
        if adapter is None or adapter.leases or adapter.state not in GONE:
            return

        # A pin, a withdrawal or a quarantine outlives the adapter; without one nothing is left.
        self._set_state(name, adapter, AdapterState.REMOVED)
        if adapter.record == Record():
            del self._adapters[name]

    def _save(self, name: str, adapter: Adapter, **changes: object) -> None:
        """Change fields of an adapter's record, on disk only those that are different now.

        Another server may have changed the others there.
        """
        before = adapter.record
        changes = {key: value for key, value in changes.items() if value != getattr(before, key)}
        if changes:
            adapter.record = before.model_copy(update=changes)
            self._records.update(AdapterName(name), changes, adapter.record)

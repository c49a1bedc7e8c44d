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
import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import AdminSource, FolderSource, Record, Rollback
from lorabay.catalog.versions import DIGEST_PREFIX, Digest, Version, Withheld
from lorabay.errors import AdapterConflict, ModelNotFound, SetupError
from lorabay.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.catalog.records import Source

    Found = Version | Withheld | None
    Find = Callable[[AdapterName, Digest], Found]

REMEMBERED_ANEW_S = 600.0
"""How long a new server remembers, at least, a name that an earlier one took away."""

_PREFIX = re.compile(rf"[0-9a-f]{{{DIGEST_PREFIX},64}}", re.ASCII)


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


class AdapterState(StrEnum):
    """State of the newest attempt to serve an adapter; an older version may still be live."""

    PENDING = "pending"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    REJECTED = "rejected"
    FAILED = "failed"
    REMOVED = "removed"


_GONE = frozenset({AdapterState.DRAINING, AdapterState.REMOVED})


@dataclass(slots=True)
class _Adapter:
    """One name. `forget_at` is when a name that was taken away is forgotten, by the registry's
    clock.
    """

    state: AdapterState = AdapterState.PENDING
    reasons: tuple[Reason, ...] = ()
    live: Version | None = None
    kept: tuple[Version, ...] = ()
    withheld: dict[Digest, Withheld] = field(default_factory=dict)
    record: Record = field(default_factory=Record)
    leases: Counter[Version] = field(default_factory=Counter)
    last_used: dict[Version, float] = field(default_factory=dict)
    forget_at: float = 0.0

    @property
    def is_removed(self) -> bool:
        """True from the moment when the name was taken away until a version of it is live again."""
        return self.record.removed_at is not None


@dataclass(frozen=True, slots=True)
class AdapterStatus:
    """Snapshot of one adapter.

    `state` and `reasons` describe the newest attempt to serve it. `kept` are the versions that
    `name@digest` can ask for: the live one first, then former ones. `withheld` are further ones
    that stay remembered, and why they cannot be asked for in this run. `source` and `source_digest`
    say where the newest version came from and which one it is, live or not. `rollback` is the one
    that is in force. `last_used` is when a request last asked for a version, in seconds since the
    epoch.
    """

    name: str
    state: AdapterState
    reasons: tuple[Reason, ...]
    live: Version | None
    kept: tuple[Version, ...]
    leases: tuple[tuple[Version, int], ...]
    pinned: bool
    rollback: Rollback | None
    source: Source | None
    source_digest: Digest | None
    last_used: tuple[tuple[Version, float], ...]
    withheld: tuple[tuple[Digest, Withheld], ...] = ()

    @property
    def is_gone(self) -> bool:
        """True if the name was taken away; requests of it may still run."""
        return self.state in _GONE


class Lease:
    """One request's hold on one version; `version` is None for the base.

    Releasing twice is harmless.
    """

    __slots__ = ("_release", "version")

    def __init__(self, version: Version | None, release: Callable[[], None] | None = None) -> None:
        self.version = version
        self._release = release

    def release(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


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
        self._removed_keep_s = removed_keep_s
        self._clock = clock
        self._wall = wall
        self._adapters: dict[str, _Adapter] = {}
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
            adapter = self._adapters[name] = _Adapter(AdapterState.REMOVED, record=record)
            self.take_up(name, {digest: self.look_up(name, digest) for digest in record.kept})
            adapter.forget_at = self._clock() + self._still_kept_s(record)
            if adapter.record.kept and not adapter.is_removed:
                adapter.state = AdapterState.PENDING

    def _still_kept_s(self, record: Record) -> float:
        """Return for how long a name that an earlier server took away is still remembered.

        The wall clock of either server may be wrong: part of the time has to pass by this one's.
        """
        passed_s = max(0.0, self._wall() - (record.removed_at or 0.0))
        at_least_s = min(self._removed_keep_s, REMEMBERED_ANEW_S)
        return max(at_least_s, self._removed_keep_s - passed_s)

    def look_up(self, name: AdapterName, digest: Digest) -> Found:
        """Ask the store for a version of the last run; blocks, and may be called in any thread."""
        try:
            return self._find(name, digest)
        except SetupError:
            return Withheld("the store could not be read", is_passing=True)

    def unread(self) -> tuple[tuple[AdapterName, Digest], ...]:
        """Return the versions of the last run that the disk has not given yet."""
        return tuple(
            (AdapterName(name), digest)
            for name, adapter in self._adapters.items()
            for digest, withheld in adapter.withheld.items()
            if withheld.is_passing
        )

    def take_up(self, name: str, results: Mapping[Digest, Found]) -> None:
        """Note what became of versions of the last run: `results` are those of `look_up`."""
        adapter = self._adapters.get(name)
        if adapter is None:
            return

        offered = {version.digest: version for version in adapter.kept}
        for digest, found in results.items():
            if digest not in adapter.record.kept:
                continue  # it has been forgotten meanwhile
            adapter.withheld.pop(digest, None)
            offered.pop(digest, None)
            if isinstance(found, Version):
                offered[digest] = found
            elif found is not None:
                adapter.withheld[digest] = found

        known = [
            digest
            for digest in adapter.record.kept
            if digest in offered or digest in adapter.withheld
        ]
        adapter.record = adapter.record.model_copy(update={"kept": tuple(known)})
        self._hold_back_behind_unread(adapter, offered)
        adapter.kept = tuple(offered[digest] for digest in known if digest in offered)

    def _hold_back_behind_unread(self, adapter: _Adapter, offered: dict[Digest, Version]) -> None:
        """Offer no former version before the one that was live last has been read.

        A hiccup of the disk must not make the name mean an older one.
        """
        if adapter.live is not None or not adapter.record.kept:
            return
        newest = adapter.withheld.get(adapter.record.kept[0])
        if newest is None or not newest.is_passing:
            return
        adapter.withheld |= dict.fromkeys(offered, newest)
        offered.clear()

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
        return _by_prefix(adapter.kept, prefix) if at else adapter.live

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
        return adapter is not None and adapter.state not in _GONE

    def status(self, name: str) -> AdapterStatus | None:
        """Return everything that is known about one adapter; None if nothing is."""
        adapter = self._adapters.get(name)
        if adapter is None:
            return None

        return AdapterStatus(
            name=name,
            state=adapter.state,
            reasons=adapter.reasons,
            live=adapter.live,
            # A name that was taken away has no version to fall back to.
            kept=() if adapter.is_removed else adapter.kept,
            leases=tuple(adapter.leases.items()),
            pinned=adapter.record.pinned,
            rollback=_rollback_in_force(adapter),
            source=adapter.record.source,
            source_digest=adapter.record.source_digest,
            last_used=tuple(adapter.last_used.items()),
            withheld=() if adapter.is_removed else tuple(adapter.withheld.items()),
        )

    def snapshot(self) -> tuple[AdapterStatus, ...]:
        """Return the status of every adapter, by name.

        A name that was taken away, and is remembered only for its return, is none.
        """
        shown = sorted(name for name, adapter in self._adapters.items() if not _is_past(adapter))
        statuses = (self.status(name) for name in shown)
        return tuple(status for status in statuses if status is not None)

    def leases(self, version: Version) -> int:
        """Return how many requests hold `version`."""
        adapter = self._adapters.get(version.adapter)
        return adapter.leases[version] if adapter is not None else 0

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
        self._set_state(name, self._adapters.setdefault(name, _Adapter()), state, reasons)

    def offer(self, version: Version, source: Source) -> Version:
        """Note that `source` now holds `version`; return the version that should be live.

        That is `version`, or the target of a rollback. A source that holds something else than the
        version that was rolled back from ends the rollback.
        """
        adapter = self._adapters.setdefault(version.adapter, _Adapter())
        target = _rolled_back_to(adapter, version)
        # A target that cannot be offered now will be, in another run: the choice stays.
        is_waiting = _waits_for_its_target(adapter, version)
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
        adapter = self._adapters.setdefault(version.adapter, _Adapter())
        # The version that was live is the newest of the former ones; the oldest is kept no more.
        # Each flip moves a version to the front: the one that was live longest ago falls out first.
        # Those that are withheld count as well: they are as much a choice for later.
        others = (digest for digest in adapter.record.kept if digest != version.digest)
        digests = (version.digest, *others)[: self._keep + 1]
        offered = {other.digest: other for other in (*adapter.kept, version)}
        kept = tuple(offered[digest] for digest in digests if digest in offered)

        adapter.live, adapter.kept = version, kept
        adapter.withheld = {
            digest: withheld
            for digest, withheld in adapter.withheld.items()
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

        removed_at = self._wall() if adapter.record.kept else None
        self._save(
            name,
            adapter,
            withdrawn=withdrawn,
            withdrawn_digest=withdrawn_digest,
            removed_at=removed_at,
        )
        adapter.live = None
        adapter.forget_at = self._clock() + self._removed_keep_s
        self._set_state(name, adapter, AdapterState.DRAINING)

        # The pin stays in the record: it is the admin's, and holds when the adapter comes back.
        if removed_at is None or not self._removed_keep_s:
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
        now = self._clock()
        past = [
            name
            for name, adapter in self._adapters.items()
            if adapter.is_removed and adapter.forget_at <= now
        ]
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
        if adapter.state in _GONE:
            self._save(name, adapter, source=None, source_digest=None)

    def withdrawn(self) -> dict[str, str]:
        """Return the fingerprints of the folders that an admin has unloaded, by name."""
        records = {name: adapter.record for name, adapter in self._adapters.items()}
        return {name: record.withdrawn for name, record in records.items() if record.withdrawn}

    def forget_unwanted(self, name: str) -> None:
        """Note that a folder that an admin did not want is gone: the next one is another."""
        adapter = self._adapters.get(name)
        if adapter is None:
            return

        if adapter.record.withdrawn:
            self._save(name, adapter, withdrawn=None, withdrawn_digest=None)
            self._forget_when_drained(name)
        source = adapter.record.source
        if isinstance(source, AdminSource):
            nothing = {"passed_over": None, "passed_over_digest": None}
            self._save(name, adapter, source=source.model_copy(update=nothing))

    def is_unwanted(self, name: str, fingerprint: str, digest: Digest | None = None) -> bool:
        """Return whether an admin does not want what the name's own folder holds.

        That is what the folder held when it was unloaded, or when another folder was loaded over
        it, under whatever `fingerprint` it is found now; `digest` is the version in it if that is
        known.
        """
        adapter = self._adapters.get(name)
        if adapter is None:
            return False

        record, source = adapter.record, adapter.record.source
        if record.withdrawn is not None:
            found_as, holds = record.withdrawn, record.withdrawn_digest
        elif isinstance(source, AdminSource) and source.passed_over is not None:
            found_as, holds = source.passed_over, source.passed_over_digest
        else:
            return False
        return fingerprint == found_as or (digest is not None and digest == holds)

    def note_unwanted(self, name: str, fingerprint: str) -> None:
        """Note that a folder with this fingerprint holds what an admin does not want."""
        adapter = self._adapters[name]
        source = adapter.record.source
        if adapter.record.withdrawn:
            self._save(name, adapter, withdrawn=fingerprint)
            self._set_state(name, adapter, AdapterState.DRAINING)
            self._forget_when_drained(name)
        elif isinstance(source, AdminSource):
            passed_over = source.model_copy(update={"passed_over": fingerprint})
            self._save(name, adapter, source=passed_over)

    def set_quarantined(self, version: Version, quarantined: bool) -> None:
        """Remember over a restart that a version kills engines, or no longer."""
        adapter = self._adapters.setdefault(version.adapter, _Adapter())
        digests = tuple(digest for digest in adapter.record.quarantined if digest != version.digest)
        if quarantined:
            digests = (version.digest, *digests)
        self._save(version.adapter, adapter, quarantined=digests)

    def quarantined(self) -> frozenset[Digest]:
        """Return the versions that are known to kill engines."""
        records = (adapter.record for adapter in self._adapters.values())
        return frozenset(digest for record in records for digest in record.quarantined)

    def rollback_target(self, name: str, digest_prefix: str | None = None) -> Version:
        """Return the kept version to go back to: the named one, or the one that was live before.

        Raises AdapterConflict.
        """
        adapter = self._adapters.get(name, _Adapter())
        if digest_prefix is not None:
            target = _by_prefix(adapter.kept, digest_prefix)
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
        obstacle = self._obstacle_to_forgetting(digest)
        if obstacle is not None:
            raise AdapterConflict(f"version {digest[:DIGEST_PREFIX]} is {obstacle}")

        for name in self._keepers(digest):
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

    def _obstacle_to_forgetting(self, digest: Digest) -> str | None:
        """Return why a version must stay, as the end of a sentence; None if it may go.

        Live comes first: a version that is live is mostly in use as well.
        """
        for adapter in self._adapters.values():
            if adapter.live is not None and adapter.live.digest == digest:
                return "live"

        for adapter in self._adapters.values():
            if any(version.digest == digest for version in adapter.leases):
                return "in use"

        keepers = self._keepers(digest)
        if not keepers:
            return "not kept"

        # After a rollback the source still holds the version that was live. Forgetting it would
        # leave its files in the store, and it could not be brought back.
        folders = [self._adapters[name] for name in keepers if not self._adapters[name].is_removed]
        if any(adapter.record.source_digest == digest for adapter in folders):
            return "what the folder holds"
        return None

    def _keepers(self, digest: Digest) -> list[str]:
        """Return the adapters that keep a version; equal weights may have several names."""
        return [name for name, adapter in self._adapters.items() if digest in adapter.record.kept]

    def in_use(self) -> frozenset[Digest]:
        """Return the versions that the store must keep: leased, or named by a record.

        A record names the live one, those that are kept, offered or not, what the source holds, and
        where a rollback leads.
        """
        digests: set[Digest] = set()
        for adapter in self._adapters.values():
            digests.update(version.digest for version in (*adapter.kept, *adapter.leases))
            digests |= adapter.record.digests
        return frozenset(digests)

    def _set_state(
        self, name: str, adapter: _Adapter, state: AdapterState, reasons: tuple[Reason, ...] = ()
    ) -> None:
        before = adapter.state
        adapter.state, adapter.reasons = state, reasons
        if before is not state:
            self._changed(name, before, state)

    def _released(self, version: Version) -> None:
        adapter = self._adapters[version.adapter]
        adapter.leases[version] -= 1
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
        if adapter is None or adapter.leases or adapter.state not in _GONE:
            return

        # A pin, a withdrawal or a quarantine outlives the adapter; without one nothing is left.
        self._set_state(name, adapter, AdapterState.REMOVED)
        if adapter.record == Record():
            del self._adapters[name]

    def _save(self, name: str, adapter: _Adapter, **changes: object) -> None:
        """Change fields of an adapter's record, on disk only those that are different now.

        Another server may have changed the others there.
        """
        before = adapter.record
        changes = {key: value for key, value in changes.items() if value != getattr(before, key)}
        if changes:
            adapter.record = before.model_copy(update=changes)
            self._records.update(AdapterName(name), changes, adapter.record)


def _is_past(adapter: _Adapter) -> bool:
    """Return whether a name was taken away, and only its former versions are left of it."""
    if not adapter.is_removed or adapter.state is not AdapterState.REMOVED or adapter.leases:
        return False
    past = {"kept": (), "source": None, "source_digest": None, "rollback": None, "removed_at": None}
    return adapter.record.model_copy(update=past) == Record()


def _rolled_back_to(adapter: _Adapter, offered: Version) -> Version | None:
    """Return the version that an admin rolled back to, if that rollback outlasts `offered`."""
    rollback = adapter.record.rollback
    if rollback is None or rollback.instead_of != offered.digest:
        return None
    return next((version for version in adapter.kept if version.digest == rollback.to), None)


def _waits_for_its_target(adapter: _Adapter, offered: Version) -> bool:
    """Return whether an admin rolled back to a version that is withheld in this run."""
    rollback = adapter.record.rollback
    if rollback is None or rollback.instead_of != offered.digest:
        return False
    return rollback.to in adapter.withheld


def _rollback_in_force(adapter: _Adapter) -> Rollback | None:
    rollback = adapter.record.rollback
    return None if rollback is None or rollback.to in adapter.withheld else rollback


def _by_prefix(versions: tuple[Version, ...], prefix: str) -> Version | None:
    """Return the one version whose digest begins so; None if there are none or several."""
    if not _PREFIX.fullmatch(prefix):
        return None
    matches = [version for version in versions if version.digest.startswith(prefix)]
    return matches[0] if len(matches) == 1 else None

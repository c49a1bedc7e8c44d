"""Which adapters exist, which version of each is live, and who is using what.

Runs in one event loop without a lock: every method but `idle` finishes without awaiting, so look-up
and lease are one step, and so is a flip. A lease keeps its version usable until it is released,
whatever happens to the name meanwhile. Remembers over a restart what an admin chose (pins,
rollbacks) and what a folder gave, through `Records`. Knows nothing of the engine: the caller loads
a version before it calls `set_live`, and unloads it after `idle`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Record, Rollback
from lorabay.catalog.versions import DIGEST_PREFIX, Digest, Version
from lorabay.errors import AdapterConflict, ModelNotFound
from lorabay.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.records import Records

_PREFIX = re.compile(rf"[0-9a-f]{{{DIGEST_PREFIX},64}}", re.ASCII)


class AdapterState(StrEnum):
    """Of the newest attempt to serve what the folder holds; an older version may be live
    meanwhile.
    """

    PENDING = "pending"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    REJECTED = "rejected"
    FAILED = "failed"
    REMOVED = "removed"


@dataclass(slots=True)
class _Adapter:
    state: AdapterState = AdapterState.PENDING
    reasons: tuple[Reason, ...] = ()
    live: Version | None = None
    kept: tuple[Version, ...] = ()
    record: Record = field(default_factory=Record)
    used: dict[Version, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AdapterStatus:
    """A picture of one adapter. `kept` is what `name@digest` can ask for, the live version among
    it.

    `last_used` is when a request last asked for a version, in seconds since the epoch.
    """

    name: str
    state: AdapterState
    reasons: tuple[Reason, ...]
    live: Version | None
    kept: tuple[Version, ...]
    leases: tuple[tuple[Version, int], ...]
    pinned: bool
    rollback: Rollback | None
    last_used: tuple[tuple[Version, float], ...]


class Lease:
    """One request's hold on one version; `version` is None for the base. Releasing twice is
    harmless.
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
    """`keep`: how many former versions of an adapter stay available beside the live one."""

    def __init__(self, base_names: tuple[str, ...], records: Records, *, keep: int = 2) -> None:
        self._base_names = base_names
        self._records = records
        self._keep = keep
        self._adapters: dict[str, _Adapter] = {}
        self._leases: Counter[Version] = Counter()
        self._waiters: defaultdict[Version, list[asyncio.Future[None]]] = defaultdict(list)
        self._became_idle: Callable[[Version], None] = lambda version: None
        self._changed: Callable[[str, AdapterState | None, AdapterState], None] = (
            lambda name, before, after: None
        )

    def restore(self, find: Callable[[AdapterName, Digest], Version | None]) -> None:
        """Takes up the records of the last run. Nothing is live yet; `find` is the store's
        `get`.
        """
        for name, record in self._records.load().items():
            found = (find(name, digest) for digest in record.kept)
            kept = tuple(version for version in found if version)
            state = AdapterState.PENDING if kept else AdapterState.REMOVED
            self._adapters[name] = _Adapter(state, kept=kept, record=record)

    def acquire(self, model: str) -> Lease:
        """A hold on what `find` gives."""
        version = self.find(model)
        if version is None:
            return Lease(None)
        self._leases[version] += 1
        self._adapters[version.adapter].used[version] = time.time()
        return Lease(version, lambda: self._released(version))

    def find(self, model: str) -> Version | None:
        """Resolves `finance`, `finance@<digest prefix>`, `<base>:finance` or a base name, for which
        it gives None.

        Raises ModelNotFound.
        """
        if model in self._base_names:
            return None
        version = self._resolve(model)
        if version is None:
            raise ModelNotFound(model)
        return version

    def names(self) -> tuple[AdapterName, ...]:
        """The adapters that can be asked for."""
        return tuple(
            sorted(adapter.live.adapter for adapter in self._adapters.values() if adapter.live)
        )

    def live(self, name: str) -> Version | None:
        adapter = self._adapters.get(name)
        return adapter.live if adapter else None

    def state(self, name: str) -> AdapterState | None:
        """How the newest attempt to serve the adapter goes; None for a name that is not known."""
        adapter = self._adapters.get(name)
        return adapter.state if adapter else None

    def reasons(self, name: str) -> tuple[Reason, ...]:
        """Why the newest attempt to serve the adapter is where it is."""
        adapter = self._adapters.get(name)
        return adapter.reasons if adapter else ()

    def kept(self, name: str) -> tuple[Version, ...]:
        """What `name@digest` can ask for: the live version first, then former ones."""
        adapter = self._adapters.get(name)
        return adapter.kept if adapter else ()

    def former(self, name: str) -> Version | None:
        """The version that was live last, in this run or the one before."""
        adapter = self._adapters.get(name)
        return adapter.kept[0] if adapter and adapter.kept else None

    def pinned(self, name: str) -> bool:
        """Whether an admin pinned the adapter."""
        adapter = self._adapters.get(name)
        return adapter is not None and adapter.record.pinned

    def source_of(self, name: str) -> str:
        """The key of what gave the adapter its newest version; empty when nothing did."""
        adapter = self._adapters.get(name)
        return (adapter.record.source_key or "") if adapter else ""

    def source_digest(self, name: str) -> Digest | None:
        """What the source held when it was last read, live or not."""
        adapter = self._adapters.get(name)
        return adapter.record.source_digest if adapter else None

    def leases(self, version: Version) -> int:
        return self._leases[version]

    async def idle(self, version: Version) -> None:
        """Returns when nobody holds `version`. A kept one may be asked for again: check `leases`
        before unloading.
        """
        while self._leases[version]:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters[version].append(waiter)
            await waiter

    def when_idle(self, call: Callable[[Version], None]) -> None:
        """From now on `call` is called with each version whose last lease ends."""
        self._became_idle = call

    def when_changed(self, call: Callable[[str, AdapterState | None, AdapterState], None]) -> None:
        """From now on `call` is called with each adapter whose state changes, and the states before
        and after.
        """
        self._changed = call

    def mark(self, name: str, state: AdapterState, reasons: tuple[Reason, ...] = ()) -> None:
        """Notes how the newest attempt goes. The live version, if any, stays live. For success call
        `set_live`.
        """
        self._set_state(name, self._adapters.setdefault(name, _Adapter()), state, reasons)

    def _set_state(
        self, name: str, adapter: _Adapter, state: AdapterState, reasons: tuple[Reason, ...] = ()
    ) -> None:
        before, adapter.state, adapter.reasons = adapter.state, state, reasons
        if before is not state:
            self._changed(name, before, state)

    def offer(self, version: Version, source_key: str) -> Version:
        """The folder now holds `version`. Returns the version that should be live: that one, or a
        rollback's target.

        A folder that holds something else than what was rolled back from ends the rollback.
        """
        adapter = self._adapters.setdefault(version.adapter, _Adapter())
        rollback = adapter.record.rollback
        target = next(
            (kept for kept in adapter.kept if rollback and kept.digest == rollback.to), None
        )
        if target is None or (rollback and rollback.instead_of != version.digest):
            rollback = target = None
        source = {"source_key": source_key, "source_digest": version.digest, "rollback": rollback}
        self._save(version.adapter, adapter, **source, withdrawn=None)
        return target or version

    def remembered(self, name: str, source_key: str) -> Digest | None:
        """What this very folder gave when it was last read."""
        adapter = self._adapters.get(name)
        return (
            adapter.record.source_digest
            if adapter and adapter.record.source_key == source_key
            else None
        )

    def set_live(self, version: Version) -> None:
        """The flip: from now on the name means `version`, which the engine has loaded. Older leases
        go on.
        """
        adapter = self._adapters.setdefault(version.adapter, _Adapter())
        kept = (version, *(other for other in adapter.kept if other != version))[: self._keep + 1]
        adapter.live, adapter.kept = version, kept
        adapter.used = {other: when for other, when in adapter.used.items() if other in kept}
        self._set_state(version.adapter, adapter, AdapterState.READY)
        self._save(version.adapter, adapter, kept=tuple(other.digest for other in kept))

    def remove(self, name: str, *, withdrawn: str | None = None) -> None:
        """The name is gone at once; running requests finish. A pin outlives it.

        `withdrawn` is the fingerprint of a folder that is still there and no longer wanted.
        """
        adapter = self._adapters.get(name)
        if adapter is None:
            return
        self._save(
            name,
            adapter,
            kept=(),
            source_key=None,
            source_digest=None,
            rollback=None,
            withdrawn=withdrawn,
        )
        adapter.live, adapter.kept = None, ()
        self._set_state(name, adapter, AdapterState.DRAINING)
        self._forget_when_drained(name)

    def withdrawn(self) -> dict[str, str]:
        """The folders that an admin has unloaded: names and fingerprints."""
        records = ((name, adapter.record.withdrawn) for name, adapter in self._adapters.items())
        return {name: fingerprint for name, fingerprint in records if fingerprint}

    def forget_withdrawal(self, name: str) -> None:
        """The folder that was unloaded is gone: the next one of that name is another."""
        adapter = self._adapters.get(name)
        if adapter is not None and adapter.record.withdrawn:
            self._save(name, adapter, withdrawn=None)
            self._forget_when_drained(name)

    def set_quarantined(self, version: Version, quarantined: bool) -> None:
        """Remembers over a restart that a version kills engines, or no longer."""
        adapter = self._adapters.setdefault(version.adapter, _Adapter())
        others = tuple(digest for digest in adapter.record.quarantined if digest != version.digest)
        self._save(
            version.adapter,
            adapter,
            quarantined=(version.digest, *others) if quarantined else others,
        )

    def quarantined(self) -> frozenset[Digest]:
        """The versions that are known to kill engines."""
        return frozenset(
            digest for adapter in self._adapters.values() for digest in adapter.record.quarantined
        )

    def rollback_target(self, name: str, digest_prefix: str | None = None) -> Version:
        """The kept version to go back to: the named one, or the newest that is not live. Raises
        AdapterConflict.
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
        """Flips to `target`, which the engine has loaded, until the folder changes."""
        adapter = self._adapters[target.adapter]
        instead_of = adapter.record.source_digest or (
            adapter.live.digest if adapter.live else target.digest
        )
        rollback = (
            None
            if instead_of == target.digest
            else Rollback(to=target.digest, instead_of=instead_of)
        )
        self.set_live(target)
        self._save(target.adapter, adapter, rollback=rollback)

    def set_pinned(self, name: str, pinned: bool) -> None:
        """Raises AdapterConflict for a name that is not served; a pin that outlived its adapter can
        be taken off.
        """
        adapter = self._adapters.get(name)
        if adapter is None or (adapter.live is None and (pinned or not adapter.record.pinned)):
            raise AdapterConflict(
                f"adapter {name!r} is not served, so it cannot be pinned or unpinned"
            )
        self._save(name, adapter, pinned=pinned)
        self._forget_when_drained(name)

    def forget(self, digest: Digest) -> None:
        """Drops a kept version everywhere.

        Raises AdapterConflict when it is live, in use, what a folder holds, or not kept at all.
        """
        holders = [
            name for name, a in self._adapters.items() if any(v.digest == digest for v in a.kept)
        ]
        leased = any(version.digest == digest for version in self._leases)
        live = any(
            adapter.live and adapter.live.digest == digest for adapter in self._adapters.values()
        )
        # After a rollback the folder still holds what was live: it could not be brought back, and
        # its files would stay.
        is_source = any(self._adapters[name].record.source_digest == digest for name in holders)
        if not holders or leased or live or is_source:
            state = (
                "live"
                if live
                else "in use"
                if leased
                else "what the folder holds"
                if holders
                else "not kept"
            )
            raise AdapterConflict(f"version {digest[:DIGEST_PREFIX]} is {state}")
        for name in holders:
            adapter = self._adapters[name]
            adapter.kept = tuple(version for version in adapter.kept if version.digest != digest)
            rollback = adapter.record.rollback
            rollback = None if rollback and rollback.to == digest else rollback
            self._save(
                name,
                adapter,
                kept=tuple(version.digest for version in adapter.kept),
                rollback=rollback,
            )

    def in_use(self) -> frozenset[Digest]:
        """What the store must not collect: live, kept, leased, and what the folders hold."""
        digests = {version.digest for version in self._leases}
        for adapter in self._adapters.values():
            digests |= {version.digest for version in adapter.kept}
            digests |= {adapter.record.source_digest} if adapter.record.source_digest else set()
        return frozenset(digests)

    def snapshot(self) -> tuple[AdapterStatus, ...]:
        leases: defaultdict[str, list[tuple[Version, int]]] = defaultdict(list)
        for version, count in self._leases.items():
            leases[version.adapter].append((version, count))
        return tuple(self._status(name, tuple(leases[name])) for name in sorted(self._adapters))

    def _status(self, name: str, leases: tuple[tuple[Version, int], ...]) -> AdapterStatus:
        adapter, used = self._adapters[name], tuple(self._adapters[name].used.items())
        return AdapterStatus(
            *(name, adapter.state, adapter.reasons, adapter.live, adapter.kept, leases),
            *(adapter.record.pinned, adapter.record.rollback, used),
        )

    def _resolve(self, model: str) -> Version | None:
        prefixes = (f"{base}:" for base in self._base_names)
        model = next(
            (model.removeprefix(prefix) for prefix in prefixes if model.startswith(prefix)), model
        )
        name, at, prefix = model.partition("@")
        adapter = self._adapters.get(name)
        if adapter is None or adapter.live is None:
            return None
        return _by_prefix(adapter.kept, prefix) if at else adapter.live

    def _released(self, version: Version) -> None:
        self._leases[version] -= 1
        if self._leases[version]:
            return
        del self._leases[version]
        for waiter in self._waiters.pop(version, ()):
            if not waiter.done():
                waiter.set_result(None)
        self._forget_when_drained(version.adapter)
        self._became_idle(version)

    def _forget_when_drained(self, name: str) -> None:
        adapter = self._adapters.get(name)
        leased = any(version.adapter == name for version in self._leases)
        if (
            adapter is None
            or leased
            or adapter.state not in (AdapterState.DRAINING, AdapterState.REMOVED)
        ):
            return
        self._set_state(name, adapter, AdapterState.REMOVED)
        if adapter.record == Record():
            del self._adapters[name]

    def _save(self, name: str, adapter: _Adapter, **changes: object) -> None:
        record = adapter.record.model_copy(update=changes)
        if record != adapter.record:
            before = adapter.record
            self._records.update(
                AdapterName(name), {k: v for k, v in changes.items() if v != getattr(before, k)}
            )
            adapter.record = record


def _by_prefix(versions: tuple[Version, ...], prefix: str) -> Version | None:
    if not _PREFIX.fullmatch(prefix):
        return None
    matches = [version for version in versions if version.digest.startswith(prefix)]
    return matches[0] if len(matches) == 1 else None

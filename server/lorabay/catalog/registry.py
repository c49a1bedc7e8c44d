"""Which adapters exist, which version of each is live, and who is using what.

Runs in one event loop without a lock: every method but `idle` finishes without awaiting, so look-up and lease are one
step, and so is a flip. A lease keeps its version usable until it is released, whatever happens to the name meanwhile.
Remembers over a restart what an admin chose (pins, rollbacks) and what a folder gave, through `Records`.
Knows nothing of the engine: the caller loads a version before it calls `set_live`, and unloads it after `idle`.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Record, Rollback
from lorabay.catalog.spec import DIGEST_PREFIX, Digest, Reason, Version
from lorabay.errors import AdapterConflict, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.records import Records

_PREFIX = re.compile(rf"[0-9a-f]{{{DIGEST_PREFIX},64}}", re.ASCII)


class AdapterState(StrEnum):
    """Of the newest attempt to serve what the folder holds; an older version may be live meanwhile."""

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


@dataclass(frozen=True, slots=True)
class AdapterStatus:
    """A picture of one adapter. `kept` is what `name@digest` can ask for, the live version among it."""

    name: str
    state: AdapterState
    reasons: tuple[Reason, ...]
    live: Version | None
    kept: tuple[Version, ...]
    leases: tuple[tuple[Version, int], ...]
    pinned: bool
    rollback: Rollback | None


class Lease:
    """One request's hold on one version; `version` is None for the base. Releasing twice is harmless."""

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

    def restore(self, find: Callable[[AdapterName, Digest], Version | None]) -> None:
        """Takes up the records of the last run. Nothing is live yet; `find` is the store's `get`."""
        for name, record in self._records.load().items():
            kept = (find(name, digest) for digest in record.kept)
            self._adapters[name] = _Adapter(kept=tuple(version for version in kept if version), record=record)

    def acquire(self, model: str) -> Lease:
        """Resolves `finance`, `finance@<digest prefix>`, `<base>:finance` or a base name. Raises ModelNotFound."""
        if model in self._base_names:
            return Lease(None)
        version = self._resolve(model)
        if version is None:
            raise ModelNotFound(model)
        self._leases[version] += 1
        return Lease(version, lambda: self._released(version))

    def names(self) -> tuple[AdapterName, ...]:
        """The adapters that can be asked for."""
        return tuple(sorted(adapter.live.adapter for adapter in self._adapters.values() if adapter.live))

    def live(self, name: str) -> Version | None:
        adapter = self._adapters.get(name)
        return adapter.live if adapter else None

    def state(self, name: str) -> AdapterState | None:
        """How the newest attempt to serve the adapter goes; None for a name that is not known."""
        adapter = self._adapters.get(name)
        return adapter.state if adapter else None

    def kept(self, name: str) -> tuple[Version, ...]:
        """What `name@digest` can ask for: the live version first, then former ones."""
        adapter = self._adapters.get(name)
        return adapter.kept if adapter else ()

    def pinned(self, name: str) -> bool:
        """Whether an admin pinned the adapter."""
        adapter = self._adapters.get(name)
        return adapter is not None and adapter.record.pinned

    def source_of(self, name: str) -> str:
        """The key of what gave the adapter its newest version; empty when nothing did."""
        adapter = self._adapters.get(name)
        return (adapter.record.source_key or "") if adapter else ""

    def leases(self, version: Version) -> int:
        return self._leases[version]

    async def idle(self, version: Version) -> None:
        """Returns when nobody holds `version`. A kept one may be asked for again: check `leases` before unloading."""
        while self._leases[version]:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters[version].append(waiter)
            await waiter

    def when_idle(self, call: Callable[[Version], None]) -> None:
        """From now on `call` is called with each version whose last lease ends."""
        self._became_idle = call

    def mark(self, name: str, state: AdapterState, reasons: tuple[Reason, ...] = ()) -> None:
        """Notes how the newest attempt goes. The live version, if any, stays live. For success call `set_live`."""
        adapter = self._adapters.setdefault(name, _Adapter())
        adapter.state, adapter.reasons = state, reasons

    def offer(self, version: Version, source_key: str) -> Version:
        """The folder now holds `version`. Returns the version that should be live: that one, or a rollback's target.

        A folder that holds something else than what was rolled back from ends the rollback.
        """
        adapter = self._adapters.setdefault(version.adapter, _Adapter())
        rollback = adapter.record.rollback
        target = next((kept for kept in adapter.kept if rollback and kept.digest == rollback.to), None)
        if target is None or (rollback and rollback.instead_of != version.digest):
            rollback = target = None
        source = {"source_key": source_key, "source_digest": version.digest, "rollback": rollback}
        self._save(version.adapter, adapter, **source)
        return target or version

    def remembered(self, name: str, source_key: str) -> Digest | None:
        """What this very folder gave when it was last read."""
        adapter = self._adapters.get(name)
        return adapter.record.source_digest if adapter and adapter.record.source_key == source_key else None

    def set_live(self, version: Version) -> None:
        """The flip: from now on the name means `version`, which the engine has loaded. Older leases go on."""
        adapter = self._adapters.setdefault(version.adapter, _Adapter())
        kept = (version, *(other for other in adapter.kept if other != version))[: self._keep + 1]
        adapter.state, adapter.reasons, adapter.live, adapter.kept = AdapterState.READY, (), version, kept
        self._save(version.adapter, adapter, kept=tuple(other.digest for other in kept))

    def remove(self, name: str) -> None:
        """The name is gone at once; running requests finish. A pin outlives it."""
        adapter = self._adapters.get(name)
        if adapter is None:
            return
        self._save(name, adapter, kept=(), source_key=None, source_digest=None, rollback=None)
        adapter.live, adapter.kept, adapter.reasons, adapter.state = None, (), (), AdapterState.DRAINING
        self._forget_when_drained(name)

    def rollback_target(self, name: str, digest_prefix: str | None = None) -> Version:
        """The kept version to go back to: the named one, or the newest that is not live. Raises AdapterConflict."""
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
        instead_of = adapter.record.source_digest or (adapter.live.digest if adapter.live else target.digest)
        rollback = None if instead_of == target.digest else Rollback(to=target.digest, instead_of=instead_of)
        self.set_live(target)
        self._save(target.adapter, adapter, rollback=rollback)

    def set_pinned(self, name: str, pinned: bool) -> None:
        """Raises AdapterConflict for a name that is not served."""
        adapter = self._adapters.get(name)
        if adapter is None or adapter.live is None:
            raise AdapterConflict(f"adapter {name!r} is not served, so it cannot be pinned or unpinned")
        self._save(name, adapter, pinned=pinned)

    def forget(self, digest: Digest) -> None:
        """Drops a kept version everywhere. Raises AdapterConflict when it is live, in use, or not kept at all."""
        holders = [name for name, a in self._adapters.items() if any(v.digest == digest for v in a.kept)]
        leased = any(version.digest == digest for version in self._leases)
        live = any(adapter.live and adapter.live.digest == digest for adapter in self._adapters.values())
        if not holders or leased or live:
            state = "live" if live else "in use" if leased else "not kept"
            raise AdapterConflict(f"version {digest[:DIGEST_PREFIX]} is {state}")
        for name in holders:
            adapter = self._adapters[name]
            adapter.kept = tuple(version for version in adapter.kept if version.digest != digest)
            rollback = adapter.record.rollback
            rollback = None if rollback and rollback.to == digest else rollback
            self._save(name, adapter, kept=tuple(version.digest for version in adapter.kept), rollback=rollback)

    def in_use(self) -> frozenset[Digest]:
        """What the store must not collect: live, kept, leased, and what the folders hold."""
        digests = {version.digest for version in self._leases}
        for adapter in self._adapters.values():
            digests |= {version.digest for version in adapter.kept}
            digests |= {adapter.record.source_digest} if adapter.record.source_digest else set()
        return frozenset(digests)

    def snapshot(self) -> tuple[AdapterStatus, ...]:
        return tuple(self._status(name) for name in sorted(self._adapters))

    def _status(self, name: str) -> AdapterStatus:
        adapter = self._adapters[name]
        leases = tuple((version, count) for version, count in self._leases.items() if version.adapter == name)
        record = adapter.record
        return AdapterStatus(
            name, adapter.state, adapter.reasons, adapter.live, adapter.kept, leases, record.pinned, record.rollback
        )

    def _resolve(self, model: str) -> Version | None:
        prefixes = (f"{base}:" for base in self._base_names)
        model = next((model.removeprefix(prefix) for prefix in prefixes if model.startswith(prefix)), model)
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
        if adapter is not None and adapter.state is AdapterState.DRAINING and not leased:
            if adapter.record.pinned:
                adapter.state = AdapterState.REMOVED
            else:
                del self._adapters[name]

    def _save(self, name: str, adapter: _Adapter, **changes: object) -> None:
        record = adapter.record.model_copy(update=changes)
        if record != adapter.record:
            self._records.save(AdapterName(name), record)
            adapter.record = record


def _by_prefix(versions: tuple[Version, ...], prefix: str) -> Version | None:
    if not _PREFIX.fullmatch(prefix):
        return None
    matches = [version for version in versions if version.digest.startswith(prefix)]
    return matches[0] if len(matches) == 1 else None

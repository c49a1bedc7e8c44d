"""The operations of an administrator, without HTTP: list, load, unload, pin, preload, roll back,
roll out, delete.

Every operation is written to the event log with whoever asked for it, also when it fails. An
operation that cannot be done raises LorabayError; one that cannot be done now, because of a disk,
raises StorageUnavailable. Knows nothing of keys, of HTTP, or of how a change is made.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lorabay.catalog.cards import read_card
from lorabay.catalog.defaults.defaults_json import in_brief
from lorabay.catalog.names import AdapterName, name_problems
from lorabay.catalog.registry.adapter_state import AdapterState, AdapterStatus
from lorabay.catalog.versions import DIGEST_PREFIX, Digest, Version
from lorabay.errors import (
    AdapterConflict,
    AdapterRejected,
    LorabayError,
    ModelNotFound,
    PermissionDenied,
    SetupError,
    StorageUnavailable,
)
from lorabay.files.daemon_threads import ask
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from lorabay.reasons import Rejected
    from lorabay.reconcile.events import Actor
    from lorabay.reconcile.reconciler import Reconciler
    from lorabay.rollout.policy import Policy
    from lorabay.serving.manager import AdapterManager


SAVE_S = 2.0
"""How long an operation waits until what it changed is on disk."""

_OF_THE_PATH = frozenset(
    {
        errno.EACCES,
        errno.EINVAL,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
    }
)
"""Errors that say something of a path; every other one is a disk's, and may pass."""

_ON_ITS_WAY = frozenset({AdapterState.PENDING, AdapterState.LOADING})
"""States in which what the folder holds may become live by itself."""


class Sources(Protocol):
    """The sources of adapters that are mirrored into the adapter directory."""

    def describe(self) -> list[dict[str, Any]]:
        """Describe each of them."""
        ...

    async def look_again(self) -> None:
        """Have each of them listed now."""
        ...


class NameChanges(Protocol):
    """What an administrator may have changed; `Operations` says what each does and raises."""

    async def rescan(self, who: Actor) -> list[dict[str, Any]]:
        """Look at the directory now."""
        ...

    async def set_pinned(self, name: str, pinned: bool, who: Actor) -> dict[str, Any]:
        """Keep an adapter in the engine, or no longer."""
        ...

    async def roll_back(
        self, name: str, digest_prefix: str | None, who: Actor, *, seen: str | None = None
    ) -> dict[str, Any]:
        """Make a kept version live again."""
        ...

    async def start_rollout(
        self,
        name: str,
        digest_prefix: str | None,
        policy: Policy,
        who: Actor,
        *,
        seen: str | None = None,
    ) -> dict[str, Any]:
        """Answer a part of an adapter's clients with a kept version."""
        ...

    async def promote_rollout(self, name: str, who: Actor) -> dict[str, Any]:
        """Make a canary the live version."""
        ...

    async def stop_rollout(self, name: str, who: Actor) -> dict[str, Any]:
        """End a rollout."""
        ...

    async def unload(self, name: str, who: Actor) -> None:
        """Take an adapter away."""
        ...

    async def load(self, name: str, path: str, *, replace: bool, who: Actor) -> Version:
        """Serve the adapter in a folder."""
        ...

    async def added(self, name: str, version: str, who: Actor) -> str:
        """Serve what somebody has put into the adapter directory."""
        ...

    async def delete(self, digest: str, who: Actor) -> None:
        """Drop a kept version."""
        ...


class NoSources:
    """The sources of a server that follows one folder: none is mirrored."""

    def describe(self) -> list[dict[str, Any]]:
        """Return nothing."""
        return []

    async def look_again(self) -> None:
        """Do nothing."""


class Operations:
    """The admin side of one server."""

    def __init__(
        self,
        manager: AdapterManager,
        reconciler: Reconciler,
        sources: Sources | None = None,
    ) -> None:
        self._manager = manager
        self._rollouts = manager.rollouts
        self._sources = sources or NoSources()
        self._reconciler = reconciler
        self._changes = reconciler.changes.admins
        self._registry = reconciler.registry
        self._events = reconciler.events
        self._directory = reconciler.directory

    def adapters(self) -> list[dict[str, Any]]:
        """Describe every adapter: state, reasons, versions, residency, leases, last use."""
        level_of = self._levels()
        return [_describe(status, level_of) for status in self._registry.snapshot()]

    def sources(self) -> list[dict[str, Any]]:
        """Describe every source that is mirrored: state, reason, what it brings and what not."""
        return self._sources.describe()

    def adapter(self, name: str) -> dict[str, Any]:
        """Describe one adapter; raises ModelNotFound."""
        return _describe(self._status(name), self._levels())

    def version(self, name: str, digest_prefix: str | None = None) -> Version:
        """Return a kept version of an adapter; the live one if none is named.

        Raises ModelNotFound, and AdapterConflict for an adapter without a live version.
        """
        if digest_prefix is None:
            return self._live(name)
        found = [one for one in self._status(name).kept if one.digest.startswith(digest_prefix)]
        if len(found) != 1 or len(digest_prefix) < DIGEST_PREFIX:
            raise ModelNotFound(f"{name}@{digest_prefix}")
        return found[0]

    async def card(self, name: str) -> str | None:
        """Return what the maker of an adapter says of it; None if it has no card.

        Raises ModelNotFound.
        """
        self._status(name)
        roots = (self._directory.root, *self._directory.allowed_roots)
        try:
            return await ask(read_card, self._directory.root / name, roots)
        except SetupError:
            return None  # a file system that does not answer

    def _status(self, name: str) -> AdapterStatus:
        status = self._registry.status(name)
        if status is None:
            raise ModelNotFound(name)
        return status

    @property
    def base_names(self) -> tuple[str, ...]:
        """Names of the base."""
        return self._reconciler.ingest.base_names

    def is_served(self, name: str) -> bool:
        """Return whether requests for `name` are answered."""
        return self._registry.live(name) is not None

    def events(self, count: int) -> list[dict[str, Any]]:
        """Return the newest events, newest first."""
        return [asdict(event) for event in self._events.latest(count)]

    def _levels(self) -> Callable[[Version], str]:
        """Return a function from a version to where its weights are now."""
        resident = self._manager.weights.resident()
        loading = {version.weights for version in self._manager.weights.loading()}

        def level_of(version: Version) -> str:
            if version.weights in resident:
                return "engine"
            return "loading" if version.weights in loading else "store"

        return level_of

    async def rescan(self, who: Actor) -> list[dict[str, Any]]:
        """Look at the directory now; return the adapters as they are afterwards.

        Raises StorageUnavailable if the directory cannot be listed; nothing has changed then.
        """
        with self.noting_failure("rescan", who, None):
            # What they bring wakes the reconciler when it is here.
            await self._sources.look_again()
            await self._reconciler.reconcile()
            if self._reconciler.scan_failure is not None:
                raise SetupError(self._reconciler.scan_failure)

        self._events.add("rescan", who=who)
        return self.adapters()

    async def saved(self) -> None:
        """Wait until what was changed will outlast a kill; not for long, if a disk is ill."""
        await asyncio.to_thread(self._registry.flush, SAVE_S)

    async def set_pinned(self, name: str, pinned: bool, who: Actor) -> dict[str, Any]:
        """Keep an adapter in the engine, or no longer.

        Raises ModelNotFound or AdapterConflict. The result is empty if the pin was all that was
        left of the adapter.
        """
        event = "pinned" if pinned else "unpinned"
        with self.noting_failure(event, who, name):
            self._status(name)
            self._registry.set_pinned(name, pinned)

        self._manager.residency.look_for_room()
        self._events.add(event, who=who, adapter=name)
        # An adapter that was removed is forgotten when its pin is taken off.
        status = self._registry.status(name)
        return {} if status is None else _describe(status, self._levels())

    async def preload(self, name: str, who: Actor) -> dict[str, Any]:
        """Load an adapter's live version into the engine now.

        Also one that the engine refused or died on before. Raises AdapterRejected with the engine's
        reason.
        """
        with self.noting_failure("preloaded", who, name):
            version = self._live(name)
            self._manager.forgive(version)
            # Not the manager's `ensure`, which hides the engine's reason from clients.
            await self._manager.weights.ensure(version)

        await self.saved()
        self._events.add("preloaded", who=who, adapter=name)
        return self.adapter(name)

    async def roll_back(
        self, name: str, digest_prefix: str | None, who: Actor, *, seen: str | None = None
    ) -> dict[str, Any]:
        """Make a kept version live again, until the folder changes.

        Also one that the engine refused or died on before. `seen` is the version that was live when
        it was decided: if another one is, nothing is done. Raises ModelNotFound, AdapterConflict,
        AdapterRejected or EngineUnavailable.
        """
        with self.noting_failure("rolled back", who, name):
            # Forgiven before the load, which would be refused otherwise.
            self._live(name)
            self._manager.forgive(self._registry.rollback_target(name, digest_prefix))
            await self._changes.roll_back(name, digest_prefix, who=who, seen=seen)
        await self.saved()
        return self.adapter(name)

    def rollout(self, name: str) -> dict[str, Any]:
        """Describe the rollout of an adapter, or its last one; raises ModelNotFound."""
        self._status(name)
        return self._rollouts.describe(name)

    async def start_rollout(
        self,
        name: str,
        digest_prefix: str | None,
        policy: Policy,
        who: Actor,
        *,
        seen: str | None = None,
    ) -> dict[str, Any]:
        """Answer a part of an adapter's clients with a kept version; return the report.

        `digest_prefix` names it, else it is what the folder holds. `seen` is the version that was
        live when it was decided. Raises ModelNotFound, AdapterConflict, AdapterRejected or
        EngineUnavailable; then nothing has changed.
        """
        with self.noting_failure("rollout started", who, name):
            live = self._live(name)
            _check_seen(name, live, seen)
            target = self._registry.rollout_target(name, digest_prefix)
            self._rollouts.check_start(live, target, policy)
            if not self._manager.admits(target):
                raise AdapterConflict(
                    f"the engine refused {target.id}, or died of it; to try again, roll back to it"
                )
            await self._manager.weights.ensure(target)

            # A removal, or another change, does not wait for the load.
            status = self._registry.status(name)
            if status is None or status.live != live or target not in status.kept:
                raise AdapterConflict(f"adapter {name!r} was changed meanwhile")
            report = self._rollouts.start(live, target, policy, who)
        await self.saved()
        return report

    async def promote_rollout(self, name: str, who: Actor) -> dict[str, Any]:
        """Make the canary of an adapter its live version; return the report.

        Raises ModelNotFound, AdapterConflict, AdapterRejected or EngineUnavailable.
        """
        with self.noting_failure("rollout promoted", who, name):
            self._live(name)
            report = await self._rollouts.promote(name, who)
        await self.saved()
        return report

    async def stop_rollout(self, name: str, who: Actor) -> dict[str, Any]:
        """End the rollout of an adapter: its live version answers everybody again.

        Raises ModelNotFound or AdapterConflict.
        """
        with self.noting_failure("rollout stopped", who, name):
            self._live(name)
            report = self._rollouts.stop(name, who)
        await self.saved()
        return report

    async def unload(self, name: str, who: Actor) -> None:
        """Take an adapter away, as if its folder were gone, until the folder changes."""
        with self.noting_failure("removed", who, name):
            self._live(name)
            await self._changes.withdraw(name, who=who)
        await self.saved()

    async def load(self, name: str, path: str, *, replace: bool, who: Actor) -> Version:
        """Serve the adapter in the folder `path` under `name`; `replace` lets it swap another.

        Loading the same weights again succeeds and changes nothing. Raises AdapterConflict for a
        name that is taken, PermissionDenied for a path outside the allowed roots, ModelNotFound for
        a path without a folder, AdapterRejected with every reason for a folder that cannot be
        served, StorageUnavailable where a disk is away or fails.
        """
        with self.noting_failure("loaded", who, name):
            self.check_name(name)
            folder = await ask(self._find, name, path)
            version = await self._changes.load(folder, AdapterName(name), replace=replace, who=who)

        await self.saved()
        self._events.add("loaded", who=who, adapter=name, version=version.id)
        return version

    def check_name(self, name: str) -> None:
        """Raise AdapterRejected for a name that no adapter may get."""
        problems = [*name_problems(name, frozenset(self.base_names))]
        twins = [other for other in self._registry.names() if other.casefold() == name.casefold()]
        if twins and name not in twins:
            text = f"the name differs only in case from {twins[0]!r}, which is served"
            problems.append(Reason("name_case", text))
        if problems:
            texts = tuple(problem.text for problem in problems)
            codes = tuple(problem.code for problem in problems)
            raise AdapterRejected(name, texts, codes=codes)

    def _find(self, name: str, text: str) -> Path:
        """Return the folder that `text` leads to, links and all; raises unless it is allowed.

        The name's own folder is returned as itself even if it is a link: the adapter is served as
        long as that is there.
        """
        path = Path(text)
        own_folder = self._directory.root.resolve() / name
        roots = [root.resolve() for root in (self._directory.root, *self._directory.allowed_roots)]
        try:
            folder = path.resolve()
            is_allowed = path.is_absolute() and any(folder.is_relative_to(root) for root in roots)
            exists = is_allowed and folder.is_dir()
            is_own = path.parent.resolve() / path.name == own_folder
        except (ValueError, RuntimeError):  # a NUL byte, a link to itself
            is_allowed = False
        except OSError as error:
            if error.errno not in _OF_THE_PATH:
                raise
            is_allowed = False  # too long, or not for us

        if not is_allowed:
            raise PermissionDenied(
                f"{quoted(text)} is not an absolute path below the adapter directory or an allowed "
                "root",
                param="lora_path",
            )
        if not exists:
            self._check_roots(folder, roots)
            raise ModelNotFound(
                name, message=f"Loading lora {name} failed: No adapter found for {text}"
            )
        return own_folder if is_own else folder

    async def judge(self, name: AdapterName, folder: Path) -> Version | Rejected:
        """Return the version that a folder without links holds, or every reason against it.

        By the checks of the adapter directory, wherever the folder lies.
        """
        return await self._reconciler.ingest.read(folder, name)

    def check_unchanged(self, name: str, seen: str | None) -> None:
        """Raise AdapterConflict if an adapter may not get a new version now.

        Another one is live than `seen`, or on its way to be: nobody knows of it who saw that one.
        """
        status = self._registry.status(name)
        live = status.live if status else None
        if (live.id if live else "") != seen:
            raise _changed(name, live, seen or "none")
        if status is not None and status.state in _ON_ITS_WAY:
            raise AdapterConflict(
                f"adapter {name!r} is being changed: look at it again when that is done"
            )
        if status is not None and status.canary is not None:
            raise AdapterConflict(
                f"a rollout of {status.canary.id} runs: promote or stop it before another version "
                "is sent"
            )

    async def added(self, name: str, version: str, who: Actor) -> str:
        """Serve what somebody has put into the adapter directory; return its state by now.

        `version` is the id of what is in there.
        """
        await self._sources.look_again()
        await self._reconciler.reconcile()
        await self.saved()
        self._events.add("uploaded", who=who, adapter=name, version=version)
        status = self._registry.status(name)
        return "pending" if status is None else str(status.state)

    @staticmethod
    def _check_roots(folder: Path, roots: list[Path]) -> None:
        """Raise SetupError if what should hold `folder` is not there itself: a disk is away."""
        for root in roots:
            if folder.is_relative_to(root) and not root.is_dir():
                raise SetupError(f"{root} is not there")

    async def delete(self, digest: str, who: Actor) -> None:
        """Drop a kept version from its adapters and the store.

        Raises AdapterConflict while it is still needed, and StorageUnavailable if its files could
        not be removed yet: they are when the store lets them.
        """
        with self.noting_failure("deleted", who, None):
            await self._changes.delete(Digest(digest), who=who)

    @contextmanager
    def noting_failure(self, event: str, who: Actor, name: str | None) -> Iterator[None]:
        """Write what fails in the block to the event log, and raise what its caller is told."""
        try:
            yield
        except (SetupError, OSError) as error:
            # Of a server that runs, this is not its setup, but a disk that may come back.
            result = str(error) or type(error).__name__
            self._events.add(event, who=who, adapter=name, result=result)
            raise StorageUnavailable(
                "the store or a folder cannot be used now; the event log has the reason"
            ) from error
        except LorabayError as error:
            self._events.add(event, who=who, adapter=name, result=error.message)
            raise

    def _live(self, name: str) -> Version:
        status = self._status(name)
        if status.live is not None:
            return status.live
        if status.is_gone:
            raise ModelNotFound(name)
        raise AdapterConflict(f"adapter {name!r} is not served")


def _check_seen(name: str, live: Version, seen: str | None) -> None:
    """Raise AdapterConflict if another version is live than an administrator saw."""
    if seen is not None and live.id != seen:
        raise _changed(name, live, seen)


def _changed(name: str, live: Version | None, seen: str) -> AdapterConflict:
    return AdapterConflict(
        f"adapter {name!r} was changed meanwhile: {live.id if live else 'none'} is live now, not "
        f"{quoted(seen)}; look at it again"
    )


def _describe(status: AdapterStatus, level_of: Callable[[Version], str]) -> dict[str, Any]:
    return {
        "name": status.name,
        "state": str(status.state),
        "reasons": [{"code": reason.code, "text": reason.text} for reason in status.reasons],
        "live": status.live.id if status.live else None,
        "pinned": status.pinned,
        "rolled_back": status.rollback is not None,
        "canary": status.canary.id if status.canary else None,
        "versions": list(_versions(status, level_of)),
        "withheld": [
            {"digest": digest, "reason": withheld.reason} for digest, withheld in status.withheld
        ],
    }


def _versions(
    status: AdapterStatus, level_of: Callable[[Version], str]
) -> Iterator[dict[str, Any]]:
    leases = dict(status.leases)
    last_used = dict(status.last_used)
    for version in dict.fromkeys((*status.kept, *leases)):
        spec = version.spec
        yield {
            "id": version.id,
            "digest": spec.digest,
            "format": spec.format,
            "rank": spec.rank,
            "alpha": spec.alpha,
            "modules": list(spec.modules),
            "size_bytes": spec.size_bytes,
            "approximate": spec.approximate,
            "warnings": list(spec.warnings),
            "weights_digest": version.weights,
            "defaults": in_brief(version.defaults),
            "live": version == status.live,
            "level": level_of(version),
            "leases": leases.get(version, 0),
            "last_used": last_used.get(version),
        }

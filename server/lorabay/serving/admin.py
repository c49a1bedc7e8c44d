"""What an administrator may do with adapters, without HTTP: list, load, unload, pin, preload, roll
back, delete.

Every operation is written to the event log with who asked for it. Raises LorabayError for what
cannot be done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.catalog.names import AdapterName, name_problems
from lorabay.catalog.registry import AdapterStatus
from lorabay.catalog.versions import Digest, Version
from lorabay.errors import (
    AdapterConflict,
    AdapterRejected,
    LorabayError,
    ModelNotFound,
    PermissionDenied,
)
from lorabay.reasons import quoted
from lorabay.serving.swaps import GONE

if TYPE_CHECKING:
    from lorabay.serving.catalogue import Catalogue
    from lorabay.serving.manager import AdapterHost


class Operations:
    """The admin side of one server."""

    def __init__(self, host: AdapterHost, catalogue: Catalogue) -> None:
        self._host = host
        self._reconciler = catalogue.reconciler
        self._registry = catalogue.registry
        self._events = catalogue.events
        self._directory = catalogue.directory

    def adapters(self) -> list[dict[str, Any]]:
        """Describe every adapter: state, reasons, versions, residency, leases, last use."""
        level_of = self._levels()
        return [_describe(status, level_of) for status in self._registry.snapshot()]

    def adapter(self, name: str) -> dict[str, Any]:
        """Describe one adapter; raises ModelNotFound."""
        for status in self._registry.snapshot():
            if status.name == name:
                return _describe(status, self._levels())
        raise ModelNotFound(name)

    @property
    def base_names(self) -> tuple[str, ...]:
        """What the base is called."""
        return self._reconciler.base_names

    def is_served(self, name: str) -> bool:
        """Tell whether requests for `name` are answered."""
        return self._registry.live(name) is not None

    def events(self, count: int) -> list[dict[str, Any]]:
        """Give the newest events, newest first."""
        return [asdict(event) for event in self._events.latest(count)]

    def _levels(self) -> Callable[[Version], str]:
        """Give what tells where a version's weights are now."""
        resident, loading = self._host.residency.resident(), self._host.residency.loading()
        return lambda version: (
            "engine" if version in resident else "loading" if version in loading else "store"
        )

    async def rescan(self, who: str) -> list[dict[str, Any]]:
        """Look at the directory now; gives the adapters as they are afterwards."""
        await self._reconciler.reconcile()
        self._events.add("rescan", who=who)
        return self.adapters()

    def set_pinned(self, name: str, pinned: bool, who: str) -> dict[str, Any]:
        """Keep an adapter in the engine, or no longer."""
        verb = "pinned" if pinned else "unpinned"
        with self._noting_failure(verb, who, name):
            self.adapter(name)
            self._registry.set_pinned(name, pinned)
        self._host.residency.look_for_room()
        self._events.add(verb, who=who, adapter=name)
        return next(
            (
                _describe(status, self._levels())
                for status in self._registry.snapshot()
                if status.name == name
            ),
            {},
        )

    async def preload(self, name: str, who: str) -> dict[str, Any]:
        """Load an adapter's live version into the engine now, also one that the engine refused or
        died on before.

        Raises AdapterRejected with the engine's reason.
        """
        with self._noting_failure("preloaded", who, name):
            version = self._live(name)
            self._host.forgive(version)
            await self._host.residency.ensure(version)
        self._events.add("preloaded", who=who, adapter=name)
        return self.adapter(name)

    async def roll_back(self, name: str, digest_prefix: str | None, who: str) -> dict[str, Any]:
        """Make a kept version live again, until the folder changes."""
        with self._noting_failure("rolled back", who, name):
            self._live(name)
            self._host.forgive(self._registry.rollback_target(name, digest_prefix))
            await self._reconciler.roll_back(name, digest_prefix, who=who)
        return self.adapter(name)

    async def unload(self, name: str, who: str) -> None:
        """Take an adapter away, as if its folder were gone, until the folder changes."""
        with self._noting_failure("removed", who, name):
            self._live(name)
            await self._reconciler.withdraw(name, who=who)

    async def load(self, name: str, path: str, *, replace: bool, who: str) -> Version:
        """Serve the adapter in the folder `path` under `name`; with `replace` it may swap one that
        is served.

        Equal weights are success. Raises AdapterConflict for a name that is taken, PermissionDenied
        for a path outside the allowed roots, ModelNotFound for a path without a folder,
        AdapterRejected with every reason for what is not servable.
        """
        with self._noting_failure("loaded", who, name):
            self._check_name(name)
            folder = await asyncio.to_thread(self._find, name, path)
            version = await self._reconciler.ingest(
                folder, AdapterName(name), replace=replace, who=who
            )
        self._events.add("loaded", who=who, adapter=name, version=version.id)
        return version

    def _check_name(self, name: str) -> None:
        problems = [
            problem.text for problem in name_problems(name, frozenset(self._reconciler.base_names))
        ]
        twins = [other for other in self._registry.names() if other.casefold() == name.casefold()]
        twin = name if name in twins or not twins else twins[0]
        if twin != name:
            problems.append(f"the name differs only in case from {twin!r}, which is served")
        if problems:
            raise AdapterRejected(name, tuple(problems))

    def _find(self, name: str, text: str) -> Path:
        """Give the folder that `text` leads to, links and all; raises unless it is an allowed one.

        The name's own folder stays itself also when it is a link: it is served as long as that is
        there.
        """
        path, own = Path(text), self._directory.root.resolve() / name
        roots = [root.resolve() for root in (self._directory.root, *self._directory.allowed_roots)]
        try:
            folder = path.resolve()
            allowed = path.is_absolute() and any(folder.is_relative_to(root) for root in roots)
            exists = allowed and folder.is_dir()
            is_own = path.parent.resolve() / path.name == own
        except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, a link to itself
            allowed = False
        if not allowed:
            raise PermissionDenied(
                f"{quoted(text)} is not an absolute path below the adapter directory or an allowed root",
                param="lora_path",
            )
        if not exists:
            raise ModelNotFound(
                name, message=f"Loading lora {name} failed: No adapter found for {text}"
            )
        return own if is_own else folder

    async def delete(self, digest: str, who: str) -> None:
        """Drop a kept version from its adapters and the store; raises AdapterConflict while it is
        still needed.
        """
        with self._noting_failure("deleted", who, None):
            await self._reconciler.delete(Digest(digest), who=who)

    @contextmanager
    def _noting_failure(self, what: str, who: str, name: str | None) -> Iterator[None]:
        try:
            yield
        except LorabayError as error:
            self._events.add(what, who=who, adapter=name, result=error.message)
            raise

    def _live(self, name: str) -> Version:
        self.adapter(name)
        version = self._registry.live(name)
        if version is None and self._registry.state(name) in GONE:
            raise ModelNotFound(name)
        if version is None:
            raise AdapterConflict(f"adapter {name!r} is not served")
        return version


def _describe(status: AdapterStatus, level_of: Callable[[Version], str]) -> dict[str, Any]:
    return {
        "name": status.name,
        "state": str(status.state),
        "reasons": [{"code": reason.code, "text": reason.text} for reason in status.reasons],
        "live": status.live.id if status.live else None,
        "pinned": status.pinned,
        "rolled_back": status.rollback is not None,
        "versions": list(_versions(status, level_of)),
    }


def _versions(
    status: AdapterStatus, level_of: Callable[[Version], str]
) -> Iterator[dict[str, Any]]:
    leases, used = dict(status.leases), dict(status.last_used)
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
            "live": version == status.live,
            "level": level_of(version),
            "leases": leases.get(version, 0),
            "last_used": used.get(version),
        }

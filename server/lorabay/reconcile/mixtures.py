"""Mixtures of adapters that requests ask for: built once, kept while they are used, a few at most.

A mixture is an adapter like any other, with the sum of its parts' ranks, under a name that follows
from the parts' digests and weights: a part that is swapped makes another mixture. Its factors are
the parts' own, one below the other, so it answers exactly as the weighted sum of their changes.
What describes it is gone once the store has it, so servers that share a store do not meet. Serial:
one is built at a time. Knows nothing of requests or keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lorabay.catalog.admission import ALLOWED_RANKS
from lorabay.catalog.composite.composite_file import COMPOSITE_FILE
from lorabay.catalog.mixture_name import EIGHTHS
from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import AdminSource
from lorabay.catalog.storage.stored_version import has_scales
from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable, InvalidRequest
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.links import link_or_copy
from lorabay.reconcile.events import Actor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.catalog.registry.adapter_state import AdapterStatus
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.versions import Digest, Version
    from lorabay.reconcile.ingest import Ingest

    Parts = Sequence[tuple[Version, int]]
    """Versions, each with its weight in eighths."""

PREFIX = "mix-"
"""Begin of the names of mixtures."""

MIXER = Actor("mixture")
"""Requests that ask for a mixture."""


class Changes(Protocol):
    """How adapters come and go; `AdminChanges` knows."""

    async def load(self, path: Path, name: AdapterName, *, replace: bool, who: Actor) -> Version:
        """Serve the adapter in a folder."""
        ...

    async def withdraw(self, name: str, *, who: Actor) -> None:
        """Take a name away; requests that run finish."""
        ...

    async def delete(self, digest: Digest, *, who: Actor) -> None:
        """Drop a version from the engine and the store; raises AdapterConflict while it is used."""
        ...


class Mixtures:
    """The mixtures of one server, at most `limit`; they are built in `folder`."""

    def __init__(
        self,
        folder: Path,
        ingest: Ingest,
        registry: Registry,
        changes: Changes,
        *,
        limit: int,
    ) -> None:
        self._folder = folder
        self._ingest = ingest
        self._registry = registry
        self._changes = changes
        self._limit = limit
        self._building = asyncio.Lock()

    async def served(self, parts: Parts) -> AdapterName:
        """Return the name of a mixture that is served, and is built if this is its first use.

        The caller holds the parts. Raises InvalidRequest for parts that do not mix, and
        EngineUnavailable while every place is taken by mixtures in use.
        """
        name = name_of(parts)
        if self._registry.live(name) is not None:
            return name

        async with self._building:
            # Another request may have had it built meanwhile.
            if self._registry.live(name) is None:
                await self._serve(name, parts)
        return name

    def names(self) -> frozenset[str]:
        """Return the names of the mixtures that there are, also of those of an earlier run."""
        return frozenset(
            name
            for name, source in self._registry.sources()
            if isinstance(source, AdminSource) and source.path.parent == self._folder
        )

    async def _serve(self, name: AdapterName, parts: Parts) -> None:
        self._check_ranks(parts)
        await self._make_room()

        try:
            described = await asyncio.to_thread(self._describe, name, parts)
            try:
                await self._changes.load(described, name, replace=False, who=MIXER)
            finally:
                await asyncio.to_thread(shutil.rmtree, described, ignore_errors=True)
        except AdapterRejected as error:
            text = f"these adapters do not mix: {error.message}"
            raise InvalidRequest(text, param="model") from None

    def _describe(self, name: AdapterName, parts: Parts) -> Path:
        """Return a new folder with a composite of the parts; raises AdapterRejected.

        No other server over the same store has it.
        """
        if any(has_scales(version.path) for version, _ in parts):
            raise AdapterRejected(name, ("one of them scales outputs (DoRA), which is no product",))

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        described = Path(tempfile.mkdtemp(dir=self._folder, prefix=f"{name}."))
        for version, _ in parts:
            member = described / version.id
            member.mkdir()
            for file in (CONFIG_FILE, WEIGHTS_FILE):
                link_or_copy(version.path / file, member / file)
        (described / COMPOSITE_FILE).write_text(_composite(parts), encoding="utf-8")
        return described

    def _check_ranks(self, parts: Parts) -> None:
        """Raise InvalidRequest unless the ranks together fit a slot, and all are adapters."""
        if any(version.is_model for version, _ in parts):
            raise InvalidRequest("a whole model does not mix with others", param="model")

        rank, largest = sum(version.spec.rank for version, _ in parts), self._ingest.max_rank
        if rank > largest:
            listed = " + ".join(f"{version.adapter} {version.spec.rank}" for version, _ in parts)
            needed = next((allowed for allowed in ALLOWED_RANKS if allowed >= rank), None)
            hint = "" if needed is None else f"; `--engine max_lora_rank={needed}` takes it"
            raise InvalidRequest(
                f"the ranks of a mixture add up: {listed} is {rank}, and the engine takes "
                f"{largest}{hint}",
                param="model",
            )

    async def _make_room(self) -> None:
        """Take mixtures away until there is room for one more: the longest unused ones first."""
        names = self.names()
        mixtures = [status for status in self._registry.snapshot() if status.name in names]
        # What an earlier run left and this one does not serve was never used: it goes first.
        idle = sorted((status for status in mixtures if not status.leases), key=_last_used)
        surplus = len(mixtures) - self._limit + 1
        if surplus > len(idle):
            raise EngineUnavailable(
                f"all {self._limit} mixtures that this server keeps are in use", retry_after=1.0
            )
        for status in idle[: max(surplus, 0)]:
            await self._remove(status)

    async def _remove(self, status: AdapterStatus) -> None:
        await self._changes.withdraw(status.name, who=MIXER)
        # It can be built again at any time: nobody rolls back to it.
        if status.live is not None:
            with suppress(AdapterConflict):
                await self._changes.delete(status.live.digest, who=MIXER)


def name_of(parts: Parts) -> AdapterName:
    """Return the name of a mixture, whatever the order of its parts."""
    told = sorted((version.digest, eighths) for version, eighths in parts)
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    return AdapterName(f"{PREFIX}{digest[:12]}")


def _composite(parts: Parts) -> str:
    """Return the file that describes the mixture; its members lie in the same folder."""
    members = [
        f'[[members]]\nadapter = "./{version.id}"\nweight = {eighths / EIGHTHS}\n'
        for version, eighths in parts
    ]
    return 'method = "cat"\n' + "".join(members)


def _last_used(status: AdapterStatus) -> float:
    return max((moment for _, moment in status.last_used), default=0.0)

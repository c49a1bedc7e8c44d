"""One name: the newest attempt to serve it, its versions, and what is remembered of it.

`Adapter` is what the registry keeps of a name, `AdapterStatus` a snapshot of it for others. Answers
what one name alone can tell, such as which rollback is in force. Knows nothing of other names, of
when a change is written, or of the engine.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from lorabay.catalog.records import Record
from lorabay.catalog.versions import DIGEST_PREFIX

if TYPE_CHECKING:
    from lorabay.catalog.records import Rollback, Source
    from lorabay.catalog.versions import Digest, Version, Withheld
    from lorabay.reasons import Reason

_PREFIX = re.compile(rf"[0-9a-f]{{{DIGEST_PREFIX},64}}", re.ASCII)


class AdapterState(StrEnum):
    """State of the newest attempt to serve an adapter; an older version may still be live."""

    PENDING = "pending"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    REJECTED = "rejected"
    FAILED = "failed"
    REMOVED = "removed"


GONE = frozenset({AdapterState.DRAINING, AdapterState.REMOVED})
"""States of a name that was taken away."""


@dataclass(slots=True)
class Adapter:
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

    @property
    def rollback_in_force(self) -> Rollback | None:
        """An admin's rollback, unless its target is withheld in this run."""
        rollback = self.record.rollback
        return None if rollback is None or rollback.to in self.withheld else rollback

    def rolled_back_to(self, offered: Version) -> Version | None:
        """Return the version that an admin rolled back to, if that rollback outlasts `offered`."""
        rollback = self.record.rollback
        if rollback is None or rollback.instead_of != offered.digest:
            return None
        return next((version for version in self.kept if version.digest == rollback.to), None)

    def waits_for_its_target(self, offered: Version) -> bool:
        """Return whether an admin rolled back to a version that is withheld in this run."""
        rollback = self.record.rollback
        if rollback is None or rollback.instead_of != offered.digest:
            return False
        return rollback.to in self.withheld

    @property
    def _not_live_yet(self) -> frozenset[Digest | None]:
        """The canary, and what the source holds while an admin chose another version."""
        rollback = self.record.rollback
        return frozenset({self.record.canary, rollback.instead_of if rollback else None})

    def kept_version(self, digest_prefix: str) -> Version | None:
        """Return the one kept version whose digest begins so; None if there are none or several."""
        if not _PREFIX.fullmatch(digest_prefix):
            return None
        matches = [version for version in self.kept if version.digest.startswith(digest_prefix)]
        return matches[0] if len(matches) == 1 else None

    @property
    def canary(self) -> Version | None:
        """The version that a rollout answers a part of the clients with, beside the live one."""
        if self.live is None or self.record.canary in (None, self.live.digest):
            return None
        return next((one for one in self.kept if one.digest == self.record.canary), None)

    def former_version(self) -> Version | None:
        """Return the version that was live before the live one; None if there is none.

        A canary was not.
        """
        others = (version for version in self.kept if version not in (self.live, self.canary))
        return next(others, None)

    def flip_to(self, version: Version, keep: int) -> tuple[Digest, ...]:
        """Make a version live; return the digests that are kept now, the version's first.

        The version that was live becomes the newest of the former ones, of which at most `keep`
        stay: the one that was live longest ago falls out first. Withheld ones count as well: they
        are as much a choice for later. One that is being rolled out, or is held back, stays beside
        them.
        """
        former = [digest for digest in self.record.kept if digest != version.digest]
        tried = [digest for digest in former[keep:] if digest in self._not_live_yet]
        digests = (version.digest, *former[:keep], *tried)

        offered = {other.digest: other for other in self.kept}
        offered[version.digest] = version
        self.live = version
        self.kept = tuple(offered[digest] for digest in digests if digest in offered)

        for digest in tuple(self.withheld):
            if digest in offered or digest not in digests:
                del self.withheld[digest]
        for other in tuple(self.last_used):
            if other not in self.kept:
                del self.last_used[other]
        return digests

    def hold_back(self, version: Version, keep: int) -> tuple[Digest, ...]:
        """Keep a version beside the live one, the live one's former ones before it.

        Return the digests that are kept now. Behind all others: nothing falls back to a version
        that nobody has tried yet.
        """
        first = [digest for digest in self.record.kept if digest != version.digest]
        digests = (*first[: keep + 1], version.digest)
        offered = {other.digest: other for other in self.kept} | {version.digest: version}

        self.kept = tuple(offered[digest] for digest in digests if digest in offered)
        for digest in tuple(self.withheld):
            if digest in offered or digest not in digests:
                del self.withheld[digest]
        return digests

    def drop(self, digest: Digest) -> None:
        """Offer a former version no more, and withhold it no more."""
        self.kept = tuple(version for version in self.kept if version.digest != digest)
        self.withheld.pop(digest, None)

    def status(self, name: str) -> AdapterStatus:
        """Return a snapshot of everything that is known."""
        return AdapterStatus(
            name=name,
            state=self.state,
            reasons=self.reasons,
            live=self.live,
            # A name that was taken away has no version to fall back to.
            kept=() if self.is_removed else self.kept,
            leases=tuple(self.leases.items()),
            pinned=self.record.pinned,
            rollback=self.rollback_in_force,
            canary=None if self.is_removed else self.canary,
            source=self.record.source,
            source_digest=self.record.source_digest,
            last_used=tuple(self.last_used.items()),
            withheld=() if self.is_removed else tuple(self.withheld.items()),
        )


@dataclass(frozen=True, slots=True)
class AdapterStatus:
    """Snapshot of one adapter.

    `state` and `reasons` describe the newest attempt to serve it. `kept` are the versions that
    `name@digest` can ask for: the live one first, then former ones. `withheld` are further ones
    that stay remembered, and why they cannot be asked for in this run. `source` and `source_digest`
    say where the newest version came from and which one it is, live or not. `rollback` is the one
    that is in force, and `canary` the version of a rollout. `last_used` is when a request last
    asked for a version, in seconds since the epoch.
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
    canary: Version | None = None

    @property
    def is_gone(self) -> bool:
        """True if the name was taken away; requests of it may still run."""
        return self.state in GONE

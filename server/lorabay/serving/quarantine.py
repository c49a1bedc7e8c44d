"""Finds the version that kills the engine, without blaming those that merely ran when it died.

Suspect is a version that the engine died on before it ever answered with it, when it was the only such one. Twice
suspect is quarantined: it is not loaded again until its folder brings other weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from lorabay.errors import AdapterRejected

if TYPE_CHECKING:
    from lorabay.catalog.spec import Digest, Version

DEATHS = 2


class Quarantine:
    """The suspects of one server."""

    def __init__(self) -> None:
        self._proven: set[Digest] = set()
        self._deaths: Counter[Digest] = Counter()
        self._refused: dict[Digest, AdapterRejected] = {}

    def refused(self, version: Version, error: AdapterRejected) -> None:
        """The engine would not load `version`: it need not be asked again."""
        self._refused[version.digest] = error

    def proved(self, version: Version) -> None:
        """The engine has answered with `version`."""
        self._proven.add(version.digest)

    def engine_died(self, loading: Collection[Version], running: Collection[Version]) -> Version | None:
        """Note a death; gives the version that it puts into quarantine, if any. What was refused may be tried again."""
        self._refused.clear()
        unproven = {version.digest: version for version in (*loading, *running) if version.digest not in self._proven}
        if len(unproven) != 1:
            return None
        ((digest, suspect),) = unproven.items()
        self._deaths[digest] += 1
        return suspect if self._deaths[digest] == DEATHS else None

    def check(self, version: Version) -> None:
        """Raise AdapterRejected for a version in quarantine or refused by this engine."""
        if version.digest in self._refused:
            raise self._refused[version.digest]
        if self._deaths[version.digest] >= DEATHS:
            raise AdapterRejected(version.adapter, (f"quarantined: the engine died {DEATHS} times on it",))

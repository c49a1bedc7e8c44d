"""Finds the version that kills the engine, without blaming those that merely ran when it died.

Suspect is a version that the engine died on before it ever answered with it, when it was the only
such one. Twice suspect is quarantined: it is not loaded again until its folder brings other weights
or an admin asks for it. What an engine refused to load is not loaded into that engine again either.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from lorabay.errors import AdapterRejected

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version

DEATHS = 2

NOTICE_S = 1.0
"""Requests fail at once when the engine dies, and end; this much later its death has been
noticed.
"""


class Quarantine:
    """The suspects of one server. `known` are those that were quarantined in earlier runs."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, known: Collection[Digest] = ()
    ) -> None:
        self._clock = clock
        self._proven: set[Digest] = set()
        self._ended: dict[Version, float] = {}
        self._deaths: Counter[Digest] = Counter(dict.fromkeys(known, DEATHS))
        self._refused: dict[Digest, AdapterRejected] = {}

    def refused(self, version: Version, error: AdapterRejected) -> None:
        """The engine would not load `version`: it need not be asked again."""
        self._refused[version.digest] = error

    def proved(self, version: Version) -> None:
        """The engine has generated with `version`."""
        self._proven.add(version.digest)

    def ended(self, version: Version) -> None:
        """A request that the engine had for `version` is over, well or badly."""
        now = self._clock()
        self._ended = {other: at for other, at in self._ended.items() if now - at <= NOTICE_S}
        if version.digest not in self._proven:
            self._ended[version] = now

    def engine_died(
        self, loading: Collection[Version], running: Collection[Version]
    ) -> Version | None:
        """Note a death; gives the version that it puts into quarantine, if any. What was refused
        may be tried again.
        """
        now = self._clock()
        just_ended = [version for version, at in self._ended.items() if now - at <= NOTICE_S]
        suspects = {version.digest: version for version in (*loading, *running, *just_ended)}
        unproven = {
            digest: version for digest, version in suspects.items() if digest not in self._proven
        }
        self._refused.clear()
        self._ended.clear()
        if len(unproven) != 1:
            return None
        ((digest, suspect),) = unproven.items()
        self._deaths[digest] += 1
        return suspect if self._deaths[digest] == DEATHS else None

    def forgive(self, version: Version) -> None:
        """Someone takes it upon himself to have `version` loaded once more."""
        self._deaths.pop(version.digest, None)
        self._refused.pop(version.digest, None)

    def admits(self, version: Version) -> bool:
        """Tell whether `version` may be loaded."""
        return version.digest not in self._refused and self._deaths[version.digest] < DEATHS

    def check(self, version: Version) -> None:
        """Raise AdapterRejected for a version in quarantine or refused by this engine."""
        if version.digest in self._refused:
            raise AdapterRejected(version.adapter, self._refused[version.digest].reasons)
        if self._deaths[version.digest] >= DEATHS:
            raise AdapterRejected(
                version.adapter, (f"quarantined: the engine died {DEATHS} times on it",)
            )

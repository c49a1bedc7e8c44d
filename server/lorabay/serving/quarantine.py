"""Which version kills the engine, found without blaming those that merely ran when it died.

A death counts against a version if the engine had never answered with it, and if it was the only
such version at the time. After the second such death the version is in quarantine: it is not
loaded again until its folder brings other weights, or an admin asks for it. Weights that an engine
refused are not loaded into that engine again either. Knows nothing of requests, of names, or of
what is done about a version in quarantine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import AdapterRejected

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version

DEATHS = 2
"""Deaths of the engine that put a version into quarantine."""

NOTICE_S = 1.0
"""How long after a death it is noticed at the latest.

Requests fail at once when the engine dies. Those that ended this recently may have been running.
"""


@dataclass(slots=True)
class History:
    """Experience with one set of weights, under whatever name.

    `deaths` counts those that it is blamed for. `refusal` is the present engine's. `ended` is the
    last version with these weights that a request was over for, and `ended_at` when that was.
    """

    is_proven: bool = False
    deaths: int = 0
    refusal: AdapterRejected | None = None
    ended: Version | None = None
    ended_at: float = 0.0

    @property
    def is_quarantined(self) -> bool:
        return self.deaths >= DEATHS


class Quarantine:
    """Histories of the weights of one server; `known` were in quarantine in earlier runs."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, known: Collection[Digest] = ()
    ) -> None:
        self._clock = clock
        self._histories = {digest: History(deaths=DEATHS) for digest in known}

    def proved(self, version: Version) -> None:
        """Note that the engine has answered with `version`: it is never blamed from now on."""
        self._history(version.digest).is_proven = True

    def refused(self, version: Version, error: AdapterRejected) -> None:
        """Note that the engine does not load `version`, so that it is not asked again."""
        self._history(version.digest).refusal = error

    def ended(self, version: Version) -> None:
        """Note that a request for `version` is over, well or badly."""
        history = self._history(version.digest)
        history.ended, history.ended_at = version, self._clock()

    def engine_died(
        self, loading: Collection[Version], running: Collection[Version]
    ) -> Version | None:
        """Note a death; return the version that it puts into quarantine, if any.

        Refusals of the dead engine no longer hold.
        """
        present = (*loading, *running, *self._just_ended())
        suspects = {
            version.digest: version
            for version in present
            if not self._history(version.digest).is_proven
        }

        for history in self._histories.values():
            history.refusal = None
            history.ended = None

        # Of two suspects, one would be blamed without having done anything.
        if len(suspects) != 1:
            return None

        ((digest, suspect),) = suspects.items()
        history = self._history(digest)
        history.deaths += 1
        return suspect if history.deaths == DEATHS else None

    def forgive(self, version: Version) -> None:
        """Lift quarantine and refusal of `version`, because an admin asks for it."""
        history = self._history(version.digest)
        history.deaths = 0
        history.refusal = None

    def admits(self, version: Version) -> bool:
        """Return whether `version` may be loaded."""
        history = self._histories.get(version.digest, History())
        return history.refusal is None and not history.is_quarantined

    def check(self, version: Version) -> None:
        """Raise AdapterRejected for a version in quarantine, or refused by this engine."""
        history = self._histories.get(version.digest, History())
        if history.refusal is not None:
            raise AdapterRejected(version.adapter, history.refusal.reasons)
        if history.is_quarantined:
            raise AdapterRejected(
                version.adapter, (f"quarantined: the engine died {DEATHS} times on it",)
            )

    def _just_ended(self) -> list[Version]:
        since = self._clock() - NOTICE_S
        return [
            history.ended
            for history in self._histories.values()
            if history.ended is not None and history.ended_at >= since
        ]

    def _history(self, digest: Digest) -> History:
        return self._histories.setdefault(digest, History())

"""Which version kills the engine, found without blaming those that merely ran when it died.

A version that was in the engine when it died, and that the engine had never answered with, is in
doubt. It is tried out alone in the next engine, before requests reach that. If it answers it is
proven, and never doubted again: whatever requests did, it was not the version. If the engine dies
on it, it is in quarantine: it is not loaded again until its folder brings other weights, or an
admin asks for it. Weights that an engine refused are not loaded into that engine again either.
Knows nothing of requests, of names, or of what is done about a version in quarantine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import AdapterRejected

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version


@dataclass(slots=True)
class History:
    """Experience with one set of weights, under whatever name.

    `doubted` is a version with these weights that was in an engine when that died, and `deaths` how
    often one was. `refusal` is the present engine's. `ended` is the last version with these weights
    that a request was over for, and `ended_at` when that was.
    """

    is_proven: bool = False
    is_quarantined: bool = False
    doubted: Version | None = None
    deaths: int = 0
    refusal: AdapterRejected | None = None
    ended: Version | None = None
    ended_at: float = 0.0


class Quarantine:
    """Histories of the weights of one server; `known` were in quarantine in earlier runs."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, known: Collection[Digest] = ()
    ) -> None:
        self._clock = clock
        self._histories = {digest: History(is_quarantined=True) for digest in known}

    def proved(self, version: Version) -> None:
        """Note that the engine has answered with `version`: it is never doubted from now on."""
        history = self._history(version.weights)
        history.is_proven = True
        history.doubted = None

    def refused(self, version: Version, error: AdapterRejected) -> None:
        """Note that the engine does not load `version`, so that it is not asked again."""
        self._history(version.weights).refusal = error

    def ended(self, version: Version) -> None:
        """Note that a request for `version` is over, well or badly."""
        history = self._history(version.weights)
        history.ended, history.ended_at = version, self._clock()

    def engine_died(
        self, loading: Collection[Version], running: Collection[Version], alive_at: float
    ) -> None:
        """Note a death of an engine that was last alive at `alive_at`.

        Whatever was in it and is not proven is in doubt. Its refusals no longer hold.
        """
        for version in (*loading, *running, *self._ended_since(alive_at)):
            history = self._history(version.weights)
            if not history.is_proven and history.doubted is None:
                history.doubted = version
                history.deaths += 1

        for history in self._histories.values():
            history.refusal = None
            history.ended = None

    def in_doubt(self) -> tuple[Version, ...]:
        """Return the versions to try out, those first that were there at most deaths."""
        doubted = [history for history in self._histories.values() if not history.is_quarantined]
        doubted.sort(key=lambda history: -history.deaths)
        return tuple(history.doubted for history in doubted if history.doubted is not None)

    def trust(self, version: Version) -> None:
        """End the doubt about `version`, without a proof: it could not be tried out."""
        self._history(version.weights).doubted = None

    def killed(self, version: Version) -> None:
        """Put `version` into quarantine: the engine died with nothing else in it."""
        history = self._history(version.weights)
        history.is_quarantined = True
        history.doubted = None

    def forgive(self, version: Version) -> None:
        """Lift quarantine and refusal of `version`, because an admin asks for it."""
        history = self._history(version.weights)
        history.is_quarantined = False
        history.refusal = None

    def admits(self, version: Version) -> bool:
        """Return whether `version` may be loaded."""
        history = self._histories.get(version.weights, History())
        return history.refusal is None and not history.is_quarantined

    def check(self, version: Version) -> None:
        """Raise AdapterRejected for a version in quarantine, or refused by this engine."""
        history = self._histories.get(version.weights, History())
        if history.refusal is not None:
            raise AdapterRejected(version.adapter, history.refusal.reasons)
        if history.is_quarantined:
            raise AdapterRejected(version.adapter, ("quarantined: the engine died twice on it",))

    def _ended_since(self, moment: float) -> list[Version]:
        return [
            history.ended
            for history in self._histories.values()
            if history.ended is not None and history.ended_at >= moment
        ]

    def _history(self, digest: Digest) -> History:
        return self._histories.setdefault(digest, History())

"""When a folder of the adapter directory has stopped changing.

Only watching tells. The age of a file is the difference of two clocks, the server's and that of the
file system, which may be a file server's; a file that is being written looks old to a server whose
clock is ahead. Knows nothing of the file system: it compares the facts that looks found, at the
times when they found them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lorabay.catalog.discovery import Candidate


class Settling:
    """The quiet time of every folder that was seen.

    A folder has settled once it was seen unchanged for `settle_s` seconds, or was renamed into
    place. The clock is `time.monotonic` unless a test brings its own.
    """

    def __init__(self, settle_s: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settle_s = settle_s
        self._monotonic = monotonic
        self._seen: dict[str, tuple[str, float]] = {}

    def observe(self, candidates: Iterable[Candidate]) -> None:
        """Note how the folders look now; those that are not among `candidates` are forgotten."""
        now = self._monotonic()
        before = self._seen
        self._seen = {}
        for candidate in candidates:
            facts = _facts(candidate)
            known_facts, since = before.get(candidate.name, ("", now))
            self._seen[candidate.name] = (facts, since if facts == known_facts else now)

    def remaining(self, candidate: Candidate) -> float:
        """Return the seconds until a folder counts if it does not change again, 0 if it counts now.

        `candidate` is the folder as it was observed last.
        """
        if candidate.in_place:
            return 0.0

        now = self._monotonic()
        _, since = self._seen.get(candidate.name, ("", now))
        return max(0.0, self._settle_s - (now - since))


def _facts(candidate: Candidate) -> str:
    return f"{candidate.fingerprint} {candidate.arriving}"

"""Decides what a look at the adapter directory asks for: a pure step from findings to a plan.

Reads no clock and no file: the caller measures, and passes seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lorabay.catalog.discovery import Candidate


@dataclass(frozen=True, slots=True)
class Plan:
    """Names to remove, folders to take in, and folders that still change; removals come first.

    `wait_s` is the time until the next look is due although nothing wakes us; None if there is no
    need for one.
    """

    removals: tuple[str, ...]
    changes: tuple[Candidate, ...]
    unsettled: tuple[Candidate, ...]
    wait_s: float | None


def plan(
    candidates: Mapping[str, Candidate],
    handled: Mapping[str, str],
    remaining: Mapping[str, float],
    absence: Mapping[str, float],
) -> Plan:
    """Compare the folders with what was done about them.

    `handled` holds the fingerprint of each folder that was dealt with. `remaining` holds the
    seconds until each other candidate has settled. `absence` holds, for each name that has lost its
    folder, the seconds until it counts as removed, infinite if it will not. A folder is taken in
    once it has settled and is not the one that was dealt with.
    """
    new = [
        candidate
        for name, candidate in candidates.items()
        if handled.get(name) != candidate.fingerprint
    ]
    # The next look is due when the first folder has settled, or the first absence is confirmed.
    waits = [wait for wait in (remaining[candidate.name] for candidate in new) if wait > 0]
    waits += [wait for wait in absence.values() if 0 < wait < math.inf]

    return Plan(
        removals=tuple(name for name, wait in sorted(absence.items()) if wait <= 0),
        changes=tuple(candidate for candidate in new if remaining[candidate.name] <= 0),
        unsettled=tuple(candidate for candidate in new if remaining[candidate.name] > 0),
        wait_s=min(waits, default=None),
    )

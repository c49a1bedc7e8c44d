"""What a look at the adapter directory asks for: a pure step from what was found to what is to be
done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from lorabay.catalog.discovery import Candidate


@dataclass(frozen=True, slots=True)
class Plan:
    """Removals come before additions. `wait_s` is when to look again although nothing wakes us;
    None when no need.
    """

    removals: tuple[str, ...]
    intake: tuple[Candidate, ...]
    unsettled: tuple[Candidate, ...]
    wait_s: float | None


def plan(
    found: Mapping[str, Candidate],
    served: Collection[str],
    judged: Mapping[str, str],
    remaining: Callable[[Candidate], float],
    absence: Callable[[str], float],
) -> Plan:
    """Compare the folders found with the names served.

    `judged` holds the fingerprint of each folder that was dealt with; `remaining` gives the seconds
    until a candidate has settled, `absence` those until a name that was not found counts as
    removed. A folder counts when it has settled and is not the one that was dealt with.
    """
    missing = {name: absence(name) for name in sorted(served) if name not in found}
    changed = [
        candidate for name, candidate in found.items() if judged.get(name) != candidate.fingerprint
    ]
    waits = {candidate.name: remaining(candidate) for candidate in changed}
    return Plan(
        removals=tuple(name for name, wait in missing.items() if wait <= 0),
        intake=tuple(candidate for candidate in changed if waits[candidate.name] <= 0),
        unsettled=tuple(candidate for candidate in changed if waits[candidate.name] > 0),
        wait_s=min(
            (wait for wait in (*waits.values(), *missing.values()) if wait > 0), default=None
        ),
    )

"""Decides what a list of a source asks for: a pure step from what is there to what is to be done.

Reads no clock and no file: the caller measures, and passes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.sources.interface import Offer

Marks = dict[str, str]
"""The marks of an adapter's files, by name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Names to remove, fetched offers to put in place, and offers to fetch; in that order.

    `drop` are fetched offers that are not offered any more. `wait_s` is the time until another list
    is due; None if none is before the next poll.
    """

    remove: tuple[str, ...]
    drop: tuple[str, ...]
    place: tuple[Offer, ...]
    fetch: tuple[Offer, ...]
    wait_s: float | None


def plan(
    offers: Mapping[str, Offer],
    mirrored: Mapping[str, Marks],
    fetched: Mapping[str, Marks],
    remaining: Mapping[str, float],
    absence: Mapping[str, float],
) -> Plan:
    """Compare what is offered with what is mirrored and what has been fetched beside it.

    `remaining` holds the seconds until each new offer counts. `absence` holds, for each mirrored
    name that is not offered, the seconds until it counts as removed.
    """
    new = {name: offer for name, offer in offers.items() if mirrored.get(name) != offer.marks}
    here = {name for name, offer in new.items() if fetched.get(name) == offer.marks}

    place = tuple(offer for name, offer in new.items() if name in here and remaining[name] <= 0)
    fetch = tuple(offer for name, offer in new.items() if name not in here)

    waits = [remaining[name] for name in new if remaining[name] > 0]
    waits += [wait for wait in absence.values() if wait > 0]
    # What is fetched now counts if the next list still shows it.
    if any(remaining[offer.name] <= 0 for offer in fetch):
        waits.append(0.0)
    return Plan(
        remove=tuple(name for name, wait in sorted(absence.items()) if wait <= 0),
        drop=tuple(name for name in fetched if name not in here),
        place=place,
        fetch=fetch,
        wait_s=min(waits, default=None),
    )

"""Since when each offer of a source looks as it does, and since when what is gone is missing.

A bucket has no moment at which a whole adapter changes: between two uploads it shows half of one.
Only watching tells when it has stopped. Reads no clock: the caller says when a list was asked for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lorabay.sources.interface import Listing, Offer

HALF_FACTOR = 5
"""How many times longer than usual an adapter is watched of which only config or weights changed:
the other half may be on its way.
"""


class Sightings:
    """What lists have shown so far; times in seconds."""

    def __init__(self, settle_s: float, empty_s: float) -> None:
        self._settle_s = settle_s
        self._empty_s = empty_s
        self._seen: dict[str, tuple[dict[str, str], float]] = {}
        self._missing: dict[str, float] = {}
        self._empty_since = math.inf

    def observe(self, listing: Listing, mirrored: Collection[str], now: float) -> None:
        """Note a list that was asked for at `now`; `mirrored` are the names that are here."""
        before = self._seen
        self._seen = {}
        for name, offer in listing.offers.items():
            marks, since = before.get(name, ({}, now))
            self._seen[name] = (offer.marks, since if marks == offer.marks else now)

        listed = listing.offers.keys() | listing.refused.keys()
        self._missing = {
            name: self._missing.get(name, now) for name in mirrored if name not in listed
        }
        self._empty_since = min(self._empty_since, now) if listing.is_empty else math.inf

    def remaining(self, offer: Offer, here: Mapping[str, str] | None, now: float) -> float:
        """Return the seconds until an offer counts if it does not change again, 0 if it does now.

        `here` are the marks of the files that are mirrored under its name.
        """
        if offer.sealed:
            return 0.0
        _, since = self._seen.get(offer.name, ({}, now))
        settle_s = self._settle_s
        if here is not None and _is_half(offer.marks, here):
            settle_s *= HALF_FACTOR
        return max(0.0, since + settle_s - now)

    def absence(self, name: str, now: float) -> float:
        """Return the seconds until a missing name counts as removed."""
        if self._empty_since < math.inf:
            # A list that came back empty is a fault until it has been empty for long.
            return max(0.0, self._empty_since + self._empty_s - now)
        return max(0.0, self._missing.get(name, now) + self._settle_s - now)

    @property
    def missing(self) -> tuple[str, ...]:
        """The mirrored names that the last list did not show."""
        return tuple(self._missing)

    @property
    def is_suspicious(self) -> bool:
        """True while the list is empty."""
        return self._empty_since < math.inf


def _is_half(new: Mapping[str, str], old: Mapping[str, str]) -> bool:
    """Return whether one of config and weights changed, and the other one did not."""
    changed = [new.get(name) != old.get(name) for name in (CONFIG_FILE, WEIGHTS_FILE)]
    return any(changed) and not all(changed)

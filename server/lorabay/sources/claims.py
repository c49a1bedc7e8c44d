"""Which of several sources a name belongs to: the one that was named first of those that have it.

Knows nothing of what a name stands for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Claims:
    """The sources that offer each name, by their place in the list of sources."""

    def __init__(self, locations: tuple[str, ...]) -> None:
        self._locations = locations
        self._offered: dict[str, frozenset[str]] = {}
        self._here: dict[str, str] = {}

    def remember(self, here: Mapping[str, str]) -> None:
        """Note the source that each mirrored name came from.

        It keeps the name until it is listed for the first time: it may be away, or only slower.
        """
        self._here = dict(here)

    def offer(self, location: str, names: frozenset[str]) -> None:
        """Note all names that a source has now."""
        self._offered[location] = names

    def owner(self, name: str) -> str | None:
        """Return the source that a name belongs to; None if no source has it."""
        for location in self._locations:
            if self._has(location, name):
                return location
        return None

    def names_source(self, location: str) -> bool:
        """Return whether a source is one of those in the list."""
        return location in self._locations

    def is_free(self, name: str) -> bool:
        """Return whether every source was listed, and none of them has a name."""
        return self._offered.keys() >= set(self._locations) and self.owner(name) is None

    def _has(self, location: str, name: str) -> bool:
        if location not in self._offered:
            return self._here.get(name) == location
        return name in self._offered[location]

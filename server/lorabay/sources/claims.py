"""Which of several sources a name belongs to: the one that was named first of those that have it.

Knows nothing of what a name stands for.
"""

from __future__ import annotations


class Claims:
    """The sources that offer each name, by their place in the list of sources."""

    def __init__(self, locations: tuple[str, ...]) -> None:
        self._locations = locations
        self._offered: dict[str, frozenset[str]] = {}

    def offer(self, location: str, names: frozenset[str]) -> None:
        """Note all names that a source has now."""
        self._offered[location] = names

    def owner(self, name: str) -> str | None:
        """Return the source that a name belongs to; None if no source has it."""
        for location in self._locations:
            if name in self._offered.get(location, frozenset()):
                return location
        return None

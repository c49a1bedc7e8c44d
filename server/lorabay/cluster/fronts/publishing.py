"""What the keeper has to tell: the names that have changed since they were told last.

A name whose meaning changes waits from that very moment, before anybody else knows. Knows nothing
of the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.catalog.registry.shared_names import GONE
from lorabay.cluster.fronts.following import read, write
from lorabay.reconcile.mixtures import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.catalog.registry.shared_names import Meaning, SharedNames
    from lorabay.cluster.fronts.unsettled import Unsettled


class Publishing:
    """The names of one registry as others know them; `known` is what they were told."""

    def __init__(
        self, names: SharedNames, unsettled: Unsettled, known: Mapping[str, str | None]
    ) -> None:
        self._names = names
        self._unsettled = unsettled
        self._known = {name: text for name, text in known.items() if text is not None}
        self._meanings: dict[str, Meaning] = {
            name: told.meaning
            for name, text in self._known.items()
            if (told := read(text)) is not None
        }
        self._touched: set[str] = set()
        self._being_told: frozenset[str] = frozenset()
        for name in {*names.names(), *self._known}:
            # What only this server cannot offer, others go on with.
            if not names.lacks(name, read(self._known.get(name)) or GONE):
                self.touched(name)

    @property
    def has_news(self) -> bool:
        """Return whether anything is to be told, or is being told."""
        return bool(self._touched or self._being_told)

    def is_touched(self, name: str) -> bool:
        """Return whether a name has changed since the news that are being told."""
        return name in self._touched

    def touched(self, name: str) -> None:
        """Note that something changes; the name waits if it means something else now."""
        if not is_shared(name):
            return
        self._touched.add(name)
        meaning = self._names.tell(name).meaning
        if meaning != self._meanings.get(name, GONE.meaning):
            self._meanings[name] = meaning
            self._unsettled.hold([name])

    def news(self) -> dict[str, str | None]:
        """Return what is to be told now, and count it as told."""
        touched, self._touched = self._touched, set()
        news: dict[str, str | None] = {}
        for name in sorted(touched):
            text = write(self._names.tell(name))
            # One that changed back waits as well, and goes on when that is known.
            if text != self._known.get(name) or self._unsettled.has(name):
                news[name] = text
        self._being_told = frozenset(news)
        return news

    def told(self, news: Mapping[str, str | None]) -> None:
        """Note that news have been told."""
        self._being_told = frozenset()
        for name, text in news.items():
            if text is None:
                self._known.pop(name, None)
            else:
                self._known[name] = text

    def not_told(self, news: Mapping[str, str | None]) -> None:
        """Note that news could not be told: they are to be told again."""
        self._being_told = frozenset()
        self._touched.update(news)


def is_shared(name: str) -> bool:
    """Return whether a name is everybody's; each server builds mixtures for itself."""
    return not name.startswith(PREFIX)

"""Brings the adapters of a source into a folder, each whole or not at all.

The same lists and fetches as a server's mirror, once, and nothing is removed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.errors import LorabayError
from lorabay.sources.interface import Changed
from lorabay.sources.mirror_folder import MirrorFolder, Note
from lorabay.sources.opening import open_source
from lorabay.sources.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.sources.interface import Offer, Source
    from lorabay.sources.locations import Location

TRIES = 3
"""How often an adapter is fetched that changes meanwhile."""


@dataclass(slots=True)
class Pulled:
    """What became of a source's adapters: what each leads to, and why others are not here."""

    adapters: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Pull:
    """One source and the folder that its adapters are brought into."""

    def __init__(self, location: Location, folder: Path, *, replace: bool = False) -> None:
        self._source: Source = open_source(location)
        self._folder = MirrorFolder(folder)
        self._replace = replace

    def run(self, bar: Callable[[int], Callable[[str, int], None]]) -> Pulled:
        """Bring all adapters here. `bar` gets the bytes of all, and returns what is told of each.

        Blocks. Raises SourceError if the source cannot be listed, SetupError if the folder cannot
        be used.
        """
        return asyncio.run(self._run(bar))

    async def _run(self, bar: Callable[[int], Callable[[str, int], None]]) -> Pulled:
        try:
            listing = await self._source.list()
            self._folder.open()
            done = Pulled(refused=dict(listing.refused))
            advance = bar(sum(offer.size for offer in listing.offers.values()))
            for name, offer in listing.offers.items():
                try:
                    await self._bring(offer)
                except LorabayError as error:
                    done.refused[name] = error.message
                except OSError as error:
                    done.refused[name] = f"it cannot be written: {error.strerror or error}"
                else:
                    done.adapters[name] = offer.at
                advance(name, offer.size)
            return done
        finally:
            await self._source.close()

    async def _bring(self, offer: Offer) -> None:
        note = Note(location=self._source.location, files=offer.marks, at=offer.at)
        if self._folder.note(offer.name) == note:
            return

        for attempt in range(TRIES):
            incoming = self._folder.incoming(offer.name, offer.size)
            try:
                await self._source.fetch(offer, incoming, Pace())
                self._folder.place(incoming, offer.name, note, replace_others=self._replace)
                return
            except Changed:
                again = (await self._source.list()).offers.get(offer.name)
                if again is None or attempt == TRIES - 1:
                    raise LorabayError("it changes while it is fetched; pull once more") from None
                offer = again
                note = Note(location=self._source.location, files=offer.marks, at=offer.at)
            finally:
                self._folder.discard(incoming)

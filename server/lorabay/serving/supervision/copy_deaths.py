"""Deaths of single copies of an engine, while others go on: which requests were there.

Each request hears by itself that its copy has died, and all of them within a moment: whom a death
tells of is known after that. Serial, on one event loop. Knows nothing of what a copy is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.serving.supervision.suspects import Running

GATHER_S = 0.5
"""How long after the first request of a copy others may hear of its death."""


class CopyDeaths:
    """The deaths that some requests have heard of; `died` is called with all that were there."""

    def __init__(self, died: Callable[[Sequence[Running]], None]) -> None:
        self._died = died
        self._present: dict[int, list[Running]] = {}

    def note(self, request: Running, copy: int) -> None:
        """Note that the copy with this number has died under a request."""
        if copy not in self._present:
            self._present[copy] = []
            asyncio.get_running_loop().call_later(GATHER_S, self._gathered, copy)
        self._present[copy].append(request)

    def _gathered(self, copy: int) -> None:
        self._died(self._present.pop(copy))

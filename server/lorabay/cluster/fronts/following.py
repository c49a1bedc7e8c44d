"""Lets the names of this server mean what the keeper tells of them.

A version that takes another one's place is loaded before its name flips, as the keeper does. While
it is, and until all servers know of it, requests for the name wait. Knows nothing of the database.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog
from pydantic import ValidationError

from lorabay.catalog.registry.shared_names import GONE, Told
from lorabay.catalog.versions import Version
from lorabay.errors import LorabayError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.catalog.registry.last_run import Found
    from lorabay.catalog.registry.shared_names import SharedNames
    from lorabay.catalog.versions import Digest
    from lorabay.cluster.fronts.unsettled import Unsettled

logger = structlog.get_logger(__name__)


class Loads(Protocol):
    """What loads a version beside another one, and unloads that; `Swaps` in a server."""

    async def load_beside(self, version: Version) -> None:
        """Bring a version into the engine beside the one that it will replace."""
        ...

    def retire_replaced(self, before: Version | None, target: Version) -> None:
        """Unload `before` when its requests end."""
        ...

    def retire(self, version: Version) -> None:
        """Unload a version when its last request has ended."""
        ...


class Following:
    """What this server takes over; `changed` hears of each name."""

    def __init__(
        self,
        names: SharedNames,
        loads: Loads,
        unsettled: Unsettled,
        changed: Callable[[str], None],
    ) -> None:
        self._names = names
        self._loads = loads
        self._unsettled = unsettled
        self._changed = changed

    async def take_over(self, texts: Mapping[str, str | None], number: int) -> None:
        """Let names mean what is told of them; `number` is that of the newest change."""
        told = {name: read(text) for name, text in texts.items()}
        moved = [
            name for name, one in told.items() if self._names.tell(name).meaning != one.meaning
        ]
        self._unsettled.hold(moved, number)
        await asyncio.gather(*(self._follow(name, one) for name, one in told.items()))

    async def _follow(self, name: str, told: Told) -> None:
        found = await asyncio.to_thread(self._names.look_up, name, told)
        await self._load_successor(name, told, found)

        flip = self._names.take_over(name, told, found)
        self._changed(name)
        if flip.now is not None:
            self._loads.retire_replaced(flip.before, flip.now)
        elif flip.before is not None:
            self._loads.retire(flip.before)

    async def _load_successor(self, name: str, told: Told, found: Mapping[Digest, Found]) -> None:
        """Load what takes a live version's place; a new name's version waits for a request."""
        before = self._names.tell(name).live
        successor = None if told.live is None else found.get(told.live)
        if before is None or before == told.live or not isinstance(successor, Version):
            return
        try:
            await self._loads.load_beside(successor)
        except LorabayError as error:
            # Its first request tries again; the name means it in any case.
            logger.warning("not loaded yet", version=successor.id, reason=error.message)


def read(text: str | None) -> Told:
    """Return what is told of a name; a name of which nothing is told is gone."""
    if text is None:
        return GONE
    try:
        return Told.model_validate_json(text)
    except ValidationError:
        logger.warning("what is told of a name is not understood: a newer release wrote it")
        return GONE


def write(told: Told) -> str | None:
    """Return what is told of a name as text; None for one that is gone."""
    return None if told == GONE else told.model_dump_json()

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
    from lorabay.catalog.registry.shared_names import Flip, SharedNames
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
        changed: Callable[[str, Flip], None],
    ) -> None:
        self._names = names
        self._loads = loads
        self._unsettled = unsettled
        self._changed = changed

    async def take_over(self, texts: Mapping[str, str | None], number: int) -> list[str]:
        """Let names mean what is told of them; `number` is that of the newest change.

        Return the names with which that failed, which mean what they did before.
        """
        told: dict[str, Told] = {}
        for name, text in texts.items():
            one = read(text)
            if one is not None:
                told[name] = one
        moved = [
            name for name, one in told.items() if self._names.tell(name).meaning != one.meaning
        ]
        self._unsettled.hold(moved, number)
        followed = await asyncio.gather(*(self._try(name, one) for name, one in told.items()))
        return [name for name, is_done in zip(told, followed, strict=True) if not is_done]

    async def _try(self, name: str, told: Told) -> bool:
        """Take over what is told of one name; return whether that succeeded."""
        try:
            await self._follow(name, told)
        except LorabayError as error:
            logger.warning("not taken over yet", adapter=name, reason=error.message)
        except Exception:  # a bug in one name must not keep the others from their meaning
            logger.exception("bug", adapter=name)
        else:
            return True
        return False

    async def _follow(self, name: str, told: Told) -> None:
        found = self._names.known(name, told)
        if len(found) < len(told.digests):
            found = await asyncio.to_thread(self._names.look_up, name, told, found)
        await self._load_successor(name, told, found)

        flip = self._names.take_over(name, told, found)
        self._changed(name, flip)
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


def read(text: str | None) -> Told | None:
    """Return what is told of a name; a name of which nothing is told is gone.

    None for what is not understood, since a newer release wrote it.
    """
    if text is None:
        return GONE
    try:
        return Told.model_validate_json(text)
    except ValidationError as error:
        logger.warning("what is told of a name is not understood", reason=str(error)[:200])
        return None


def write(told: Told) -> str | None:
    """Return what is told of a name as text; None for one that is gone."""
    return None if told == GONE else told.model_dump_json()

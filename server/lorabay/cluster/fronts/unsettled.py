"""Names whose meaning changes right now: requests for them wait until every server knows it.

Runs on one event loop. A wait has an end, since a request that waits for ever helps nobody: after
it, the name means what this server knows of it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

logger = structlog.get_logger(__name__)

PATIENCE_S = 10.0
"""How long a request waits at most: longer than a server that has died is waited for."""
STALE_S = 4.0
"""How long names mean what they did without a look: others wait longer for a paused server."""
RETRY_S = 2.0


class Unsettled:
    """The names that wait, each with the number of its change once that has one."""

    def __init__(
        self,
        base_names: Sequence[str] = (),
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_names = tuple(base_names)
        self._clock = clock
        self._looked_at = clock()
        self._patience_s = patience_s
        self._changes: dict[str, int | None] = {}
        self._news = asyncio.Event()
        self._has_joined = False

    def __len__(self) -> int:
        return len(self._changes)

    def has(self, name: str) -> bool:
        """Return whether a name waits."""
        return name in self._changes

    def looked(self) -> None:
        """Note that this server has looked for changes, and lets requests wait where there are."""
        was_stale = self._is_stale
        self._looked_at = self._clock()
        if was_stale:
            self._tell()

    @property
    def _is_stale(self) -> bool:
        """True after a pause of the whole process: others may have gone on without it."""
        return self._clock() - self._looked_at > STALE_S

    def unjoined(self) -> None:
        """Let no request through but for the base, until all names are known anew."""
        self._has_joined = False

    def joined(self) -> None:
        """Let requests through from now on, but for names that change: all names are known."""
        self._has_joined = True
        self._tell()

    def hold(self, names: Collection[str], number: int | None = None) -> None:
        """Let requests for names wait; `number` is that of the change, if it has one yet."""
        self._changes.update(dict.fromkeys(names, number))

    def number(self, names: Collection[str], number: int) -> None:
        """Note the number of the change for which names wait, where they do."""
        for name in names:
            if name in self._changes:
                self._changes[name] = number

    def settle(self, number: int) -> None:
        """Let requests through for all names whose change has a number up to this one."""
        over = [
            name
            for name, change in self._changes.items()
            if change is not None and change <= number
        ]
        for name in over:
            del self._changes[name]
        if over:
            self._tell()

    def without_number(self) -> list[str]:
        """Return the names whose change has no number: nobody else knows of it."""
        return [name for name, change in self._changes.items() if change is None]

    def number_rest(self, number: int) -> None:
        """Let names whose change never got a number wait for this one."""
        self.number(self.without_number(), number)

    async def wait(self, model: str) -> None:
        """Return when the name in `model` means the same to every server.

        Raises EngineUnavailable while this server does not know what names mean.
        """
        name = self._name_in(model)
        if not self._is_held(name):
            return

        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while self._is_held(name):
                    await self._news.wait()
        if not self._is_held(name):
            return
        if not self._has_joined:
            raise EngineUnavailable(
                "this server does not know yet what names mean in its cluster", retry_after=RETRY_S
            )
        logger.warning("answered before all servers know what it means", adapter=name)

    def _is_held(self, name: str) -> bool:
        if name in self.base_names:
            return False
        return not self._has_joined or self._is_stale or name in self._changes

    def _name_in(self, model: str) -> str:
        """Return the adapter that a request's `model` names, or the base."""
        if model in self.base_names:
            return model
        for base in self.base_names:
            model = model.removeprefix(f"{base}:")
        return model.partition("@")[0]

    def _tell(self) -> None:
        # Whoever waits looks again, and the next ones wait for the next news.
        self._news.set()
        self._news = asyncio.Event()

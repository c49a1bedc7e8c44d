"""The agreement of one cluster as one of its servers reads and writes it, on the event loop.

Statements run in threads of their own, so that a sign of life does not wait behind a year's usage.
Each raises SetupError if the database cannot be used now, or does not answer in time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from lorabay.accounts.agreement import errands, names, office
from lorabay.accounts.agreement.office import Deposed
from lorabay.errors import SetupError
from lorabay.files.daemon_threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.engine import Connection

    from lorabay.accounts.agreement.names import View
    from lorabay.accounts.agreement.office import Holder
    from lorabay.accounts.database.database import Database

IDLE_LOOK_S = 0.02
STATEMENT_S = 3.0
"""How long the database may take over one look, or one change."""

Result = TypeVar("Result")


class Agreement:
    """What the servers of `cluster` agree on; this one is called `front`."""

    def __init__(self, database: Database, cluster: str, front: str) -> None:
        self.cluster = cluster
        self.front = front
        self._database = database
        self._threads = DaemonThreads("lorabay-names")

    async def look(self, *, since: int, with_errands: bool) -> View:
        """Return how the cluster is now; see `names.look`."""
        look = partial(names.look, cluster=self.cluster, since=since, with_errands=with_errands)
        return await self._do(self._database.read, look)

    async def take(self, former: Holder | None, identity: str = "") -> Holder | None:
        """Take the office after `former`; None if somebody else was quicker."""
        take = partial(office.take, cluster=self.cluster, front=self.front, former=former)
        return await self._write(partial(take, identity=identity))

    async def publish(self, holder: Holder, told: Mapping[str, str | None], after: int) -> int:
        """Write what names mean from now on; see `office.publish`. Raises Deposed."""
        publish = partial(office.publish, cluster=self.cluster, holder=holder, told=told)
        return await self._write(partial(publish, after=after))

    async def settle(self, holder: Holder, number: int) -> None:
        """Tell that every server knows of the changes up to a number. Raises Deposed."""
        settle = partial(office.settle, cluster=self.cluster, holder=holder, number=number)
        await self._write(settle)

    async def keep(self, holder: Holder, seen: int) -> None:
        """Show that the keeper lives, and what it knows. Raises Deposed."""

        def keep(connection: Connection) -> None:
            office.beat(connection, self.cluster, holder)
            names.report(connection, self.cluster, self.front, seen)

        await self._write(keep)

    async def report(self, seen: int) -> None:
        """Show that this server lives, and what it knows."""
        await self._write(partial(names.report, cluster=self.cluster, front=self.front, seen=seen))

    async def forget(self, front: str) -> None:
        """Wait for another server no more."""
        await self._write(partial(names.withdraw, front=front))

    async def leave(self, holder: Holder | None) -> None:
        """Let the others go on without this server, which held the office if `holder` is given."""

        def leave(connection: Connection) -> None:
            names.withdraw(connection, self.front)
            with suppress(Deposed):
                if holder is not None:
                    office.leave(connection, self.cluster, holder)

        try:
            await self._write(leave)
        finally:
            await self._idle()

    async def _idle(self) -> None:
        """Wait, not for long, for statements that were given up: their connections are in use."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STATEMENT_S):
                while self._threads.busy:
                    await asyncio.sleep(IDLE_LOOK_S)

    async def ask(self, errand: str, question: str) -> None:
        """Leave an errand for the keeper."""
        ask = partial(errands.ask, cluster=self.cluster, front=self.front)
        await self._write(partial(ask, errand=errand, question=question))

    async def answer(self, errand: str, text: str) -> None:
        """Tell what came of an errand."""
        await self._write(partial(errands.answer, errand=errand, text=text))

    async def answer_of(self, errand: str) -> str | None:
        """Return what came of an errand; None while nothing has."""
        return await self._do(self._database.read, partial(errands.answer_of, errand=errand))

    async def take_back(self, errand: str) -> None:
        """Forget an errand, answered or not."""
        await self._write(partial(errands.forget, errand=errand))

    async def _write(self, work: Callable[[Connection], Result]) -> Result:
        return await self._do(self._database.write, work)

    async def _do(
        self,
        way: Callable[[Callable[[Connection], Result]], Result],
        work: Callable[[Connection], Result],
    ) -> Result:
        try:
            async with asyncio.timeout(STATEMENT_S):
                return await self._threads.begin(way, work)
        except TimeoutError:
            raise SetupError("the database of names does not answer") from None

"""Adapters' events in the audit of a server with accounts, and answers to questions about it."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from lorabay.accounts.audit.deeds import Deed
from lorabay.errors import SetupError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lorabay.accounts.audit.chain import Row
    from lorabay.accounts.audit.questions import Question
    from lorabay.accounts.audit.scribe import Scribe
    from lorabay.accounts.database.database import Database
    from lorabay.metrics import Metrics
    from lorabay.reconcile.events import Event

STOP_S = 3.0
"""How long the end of a server waits until the audit is written."""

FLUSH_S = 1.0
"""How long a question waits for what has just been done."""


class Auditor:
    """Takes down what happens to adapters on one server, through `scribe`."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        from lorabay.accounts.audit.scribe import Scribe

        self._database = database
        self._scribe: Scribe = Scribe(database, lost=metrics.audit_lost.inc)
        self._has_begun = False

    def begin(self) -> None:
        """Take down that the server has started."""
        self._has_begun = True
        detail = {"version": metadata.version("lorabay")}
        self._scribe.take_down(Deed("server", "server.start", detail=detail))

    def note(self, event: Event) -> None:
        """Take down an event, if it tells of an adapter or of an administrator."""
        deed = deed_of(event)
        if deed is not None:
            self._scribe.take_down(deed)

    def answers(self) -> Callable[[Question], Awaitable[tuple[Row, ...]]]:
        """Return a function that answers questions about the audit, also about this moment."""
        from lorabay.accounts.audit.book import listed

        async def answer(question: Question) -> tuple[Row, ...]:
            await asyncio.to_thread(self._scribe.flush, FLUSH_S)
            try:
                return await self._database.in_reader(partial(listed, question=question))
            except SetupError as error:
                raise StorageUnavailable("the database of the audit does not answer") from error

        return answer

    def end(self) -> None:
        """Take down that the server ends, if it has begun; wait until all is written. Blocks."""
        if self._has_begun:
            self._scribe.take_down(Deed("server", "server.stop"))
        self._scribe.close(STOP_S)


def deed_of(event: Event) -> Deed | None:
    """Return what the audit keeps of an event; None for those of no adapter that nobody asked
    for.
    """
    if event.adapter is None and event.request_id is None:
        return None

    thing = "version" if event.what == "deleted" else "adapter"
    return Deed(
        event.who,
        f"{thing}.{event.what.replace(' ', '_')}",
        event.adapter or event.version or "",
        {} if event.version is None else {"version": event.version},
        event.result,
        event.request_id,
    )

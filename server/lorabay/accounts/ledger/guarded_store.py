"""A store that is asked beside the event loop, and what takes its place while it is gone.

    the store            what a server is given
    RELIED_ON            what the store gives
    GONE                 what its own part of each limit allows, from memory
    BACK, for a while    what both of them allow, until every other server has reported to it

The part is the limit divided by the servers that lived last. Nobody knows what the others were
given just before: so a server spends what it holds, and gets more only when a minute has passed
since the store went. A store that has lost everything is one that was gone: reports are whole.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from enum import StrEnum, auto
from functools import partial
from typing import TYPE_CHECKING

import structlog

from lorabay.accounts.ledger.memory_store import MemoryStore, steady_clock
from lorabay.accounts.ledger.store import SERVERS, StoreGone
from lorabay.accounts.ledger.tally import Report, part_of
from lorabay.files.daemon_threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.accounts.ledger.store import Clock, Replies, Reports, Store
    from lorabay.accounts.ledger.tally import Counter, Tally

logger = structlog.get_logger(__name__)

ANSWER_S = 2.0
"""How long a server waits for its store, and its requests with it."""

TRY_AGAIN_S = 1.0
"""The time between two tries of a store that is gone."""

BACK_S = 5.0
"""How long a store that is back decides beside each server's part: longer than any server's next
try takes.
"""


class Trust(StrEnum):
    """How far the store decides what this server is given."""

    RELIED_ON = auto()
    GONE = auto()
    BACK = auto()


class GuardedStore:
    """`store` as one `server` uses it; `name` is for the log.

    `gone` hears whether the store is gone, each time that changes.
    """

    def __init__(
        self,
        store: Store,
        server: str,
        *,
        name: str = "store",
        gone: Callable[[bool], None] = lambda is_gone: None,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._server = server
        self._name = name
        self._gone = gone
        self._clock = clock or steady_clock()
        self._threads = DaemonThreads(f"lorabay-ledger-{name}")
        self._asking: asyncio.Future[Replies] | None = None

        self.trust = Trust.RELIED_ON
        self.wants_everything = False
        """Whether the next reports must be those of all counters."""
        self._is_known = False
        self._servers = 1
        self._tallies: dict[str, Tally] = {}
        """As the store told them last."""
        self._ahead_s = 0.0
        """How far the store's clock is ahead of ours."""
        self._parts = MemoryStore(self._store_now)
        """What decides while the store is gone."""
        self._tried_at = 0.0
        self._back_at = 0.0

    async def settle(self, reports: Reports) -> Replies:
        """Settle reports with the store, with what takes its place, or with both."""
        are_all = self.wants_everything
        if self.trust is Trust.GONE and not await self._answers_again():
            return self._settle_part(reports)

        replies = await self._ask(reports)
        if replies is None:
            return self._settle_part(reports)
        if self.trust is Trust.RELIED_ON:
            return replies
        self.wants_everything = self.wants_everything and not are_all
        return self._settle_both(reports, replies)

    async def _answers_again(self) -> bool:
        """Return whether a store that was gone answers, if it is time to try."""
        if self._clock() - self._tried_at < TRY_AGAIN_S:
            return False
        try:
            await self._call({SERVERS: Report()})
        except (StoreGone, TimeoutError):
            return False

        logger.info("the store of limits answers again", store=self._name)
        self._enter_back()
        return True

    def _enter_back(self) -> None:
        """Let the store decide, too; it must hear of everything first."""
        self.trust = Trust.BACK
        self.wants_everything = True
        self._back_at = self._clock()

    async def _ask(self, reports: Reports) -> Replies | None:
        """Return the store's answer; None if it has none, and is gone from here on."""
        try:
            replies = await self._call({**reports, SERVERS: Report()})
        except (StoreGone, TimeoutError) as error:
            self._leave(str(error) or "it does not answer")
            return None

        if self.trust is Trust.RELIED_ON and self._is_known and not replies[SERVERS].was_known:
            self._leave("it has forgotten this server")
            self._enter_back()
        else:
            self._note(replies)
        return replies

    async def _call(self, reports: Reports) -> Replies:
        """Have the store settle reports, in a thread that nothing waits for if it never ends."""
        if self._asking is not None and not self._asking.done():
            raise StoreGone("it has not answered yet")

        self._tried_at = self._clock()
        self._asking = asking = self._threads.begin(self._settled, reports)
        # Whoever asked may not be there any more when it fails.
        asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await asyncio.wait_for(asyncio.shield(asking), ANSWER_S)

    def _settled(self, reports: Reports) -> Replies:
        """Have the store settle reports; whatever it fails with, it is gone."""
        try:
            return self._store.settle(self._server, reports)
        except StoreGone:
            raise
        except Exception as error:  # what it holds may be damaged, and nobody's request shall fail
            logger.exception("bug", what="the store of limits", store=self._name)
            raise StoreGone(f"{type(error).__name__}: {error}") from error

    def _note(self, replies: Replies) -> None:
        """Remember what would be needed without the store."""
        self._is_known = True
        servers = max(1, len(replies[SERVERS].tally))
        if self.trust is Trust.RELIED_ON:
            self._servers = servers
            self._ahead_s = replies[SERVERS].now - self._clock()
            self._tallies.update((counter.name, reply.tally) for counter, reply in replies.items())
        else:
            # A store that has just come back may not have heard of all of them yet.
            self._servers = max(servers, self._servers)

    def _leave(self, reason: str) -> None:
        """Go on with this server's part alone."""
        if self.trust is Trust.RELIED_ON:
            self._gone(True)
            logger.warning(
                "limits are kept to this server's part of them",
                store=self._name,
                servers=self._servers,
                reason=reason,
            )

        self.trust = Trust.GONE
        self._parts = MemoryStore(self._store_now, partial(self._begin, since=self._store_now()))

    def _begin(self, part: Counter, *, since: float) -> Tally:
        """Return the tally of this server's part, which it has kept to since a time."""
        return part_of(part, self._tallies.get(part.name, {}), self._server, self._servers, since)

    def _store_now(self) -> float:
        return self._clock() + self._ahead_s

    def _settle_part(self, reports: Reports) -> Replies:
        """Settle reports with this server's part of each limit."""
        return self._parts.settle(
            self._server, {self._part(counter): report for counter, report in reports.items()}
        )

    def _part(self, counter: Counter) -> Counter:
        return replace(counter, limit=counter.limit // self._servers)

    def _settle_both(self, reports: Reports, replies: Replies) -> Replies:
        """Return the store's answers, with no more than this server's part allows.

        What the store gave beyond that goes back with the next report, which is whole.
        """
        parts = self._settle_part(reports)
        if not self.wants_everything and self._clock() - self._back_at >= BACK_S:
            self.trust = Trust.RELIED_ON
            self._gone(False)
            logger.info("the store of limits is relied on again", store=self._name)

        return {
            counter: replace(replies[counter], given=min(replies[counter].given, part.given))
            for counter, part in parts.items()
        }

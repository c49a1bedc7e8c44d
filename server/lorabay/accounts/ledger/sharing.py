"""The shares of one server in the limits that one store keeps, filled and reported in rounds.

A round takes every share that has something to tell, or of which more is needed, and settles all of
them at once. At most one round goes on; whoever needs more meanwhile waits for the next one.
Serial, on one event loop.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from lorabay.accounts.ledger.guarded_store import Trust
from lorabay.accounts.ledger.periods import MINUTE
from lorabay.accounts.ledger.share import Share
from lorabay.accounts.ledger.tally import LEASE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lorabay.accounts.ledger.guarded_store import GuardedStore
    from lorabay.accounts.ledger.tally import Counter

logger = structlog.get_logger(__name__)

TICK_S = 0.25
"""How long news may wait for a round if nobody needs anything."""

IDLE_S = 10.0
"""Time without a request after which a share gives back what it has.

While much of a limit is left, what each server has lets it go on without its store for a while.
"""

HEARTBEAT_S = LEASE_S / 4
"""Time after which a server reports although nothing is new."""

STALE_S = LEASE_S / 2
"""Time without a round after which what a share has may have been given to others."""

FORGET_S = 65.0
"""Time without a report after which all buckets of a minute have ended."""


class Sharing:
    """The shares of one server; `clock` returns seconds that only go on."""

    def __init__(self, store: GuardedStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._shares: dict[str, Share] = {}
        self._round: asyncio.Task[None] | None = None
        self._settled_at = clock()

    def share_of(self, counter: Counter) -> Share:
        """Return the share of a counter, as it is limited now."""
        share = self._shares.get(counter.name)
        if share is None:
            share = self._shares[counter.name] = Share(counter)
        elif share.counter.limit != counter.limit:
            share.counter = counter
            share.give_back()

        share.spent_at = self._clock()
        self._drop_stale(share)
        return share

    def _drop_stale(self, share: Share) -> None:
        """Give up what a share has if the store may have taken this server for dead."""
        if self._clock() - self._settled_at > STALE_S:
            share.give_back()

    @property
    def gives_again(self) -> bool:
        """Whether what is given back can be had again: a store that is gone gives nothing."""
        return self._store.trust is Trust.RELIED_ON

    async def fill(self) -> None:
        """Return after a round that began after this call."""
        running = self._round
        if running is not None and not running.done():
            await asyncio.wait({running})

        # Of those who come here at once, the first begins the round, and the others join it.
        begun = self._round
        if begun is None or begun is running:
            begun = self._round = asyncio.create_task(self._settle())
        await asyncio.shield(begun)

    async def run(self) -> None:
        """Report what is new, and that this server lives, until cancelled."""
        is_new = True
        while True:
            try:
                self._tidy()
                if is_new or self._is_due():
                    await self.fill()
                is_new = False
            except Exception:  # a bug must not end the reports: others would take us for dead
                logger.exception("bug", what="limits")
            await asyncio.sleep(TICK_S)

    def _is_due(self) -> bool:
        is_late = self._clock() - self._settled_at >= HEARTBEAT_S
        return is_late or self._store.wants_everything or any(self._due())

    async def close(self) -> None:
        """Give everything back and tell the store."""
        for share in self._shares.values():
            share.give_back()
        await self.fill()

    def _tidy(self) -> None:
        """Give back what nobody needs here, and drop the shares that have nothing left."""
        now = self._clock()
        for name, share in list(self._shares.items()):
            idle_s = now - share.spent_at
            patience_s = TICK_S if share.is_scarce else IDLE_S
            is_needed = share.needs or not self.gives_again
            if share.free and not is_needed and idle_s >= patience_s:
                share.give_back()

            # A request that waits for other shares has this one in its hands, and needs it then.
            if share.is_empty and not share.needs and idle_s >= STALE_S:
                del self._shares[name]
            elif share.counter.period is MINUTE and now - share.told_at >= FORGET_S:
                # The answer to a report tells which of its buckets have ended.
                share.changed = True

    def _due(self) -> Iterator[Share]:
        """Yield the shares that are to be settled."""
        everything = self._store.wants_everything
        now = self._clock()
        for share in self._shares.values():
            keeps = share.held and now - share.told_at >= HEARTBEAT_S
            if everything or share.needs or share.changed or keeps:
                yield share

    async def _settle(self) -> None:
        """Settle all shares that are due."""
        begun = self._clock()
        shares = {share.counter: share for share in self._due()}
        reports = {counter: share.report(begun) for counter, share in shares.items()}
        try:
            replies = await self._store.settle(reports)
        except BaseException:
            # What was to be told is told again.
            for share in shares.values():
                share.changed = True
            raise

        self._settled_at = begun
        for counter, share in shares.items():
            share.take_up(replies[counter])

    @property
    def is_at_rest(self) -> bool:
        """Whether no request holds anything; what a share has beyond that is free."""
        return all(share.held == share.free for share in self._shares.values())

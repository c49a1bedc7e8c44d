"""What keeps the limits of callers on one server: the rules, the ledger, and the stores behind it.

Days and months are kept in the database, minutes and running requests in Redis if there is one. The
libraries of databases are imported here, when there are accounts.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.guarded_store import GuardedStore
from lorabay.accounts.ledger.ledger import SharedLedger
from lorabay.accounts.ledger.sharing import Sharing
from lorabay.api.allowance.allowance import Allowances

if TYPE_CHECKING:
    from lorabay.accounts.database.database import Database
    from lorabay.accounts.ledger.store import Store
    from lorabay.metrics import Metrics

CLOSE_S = 3.0
"""How long the end of a server waits until its stores know that it holds nothing any more."""


class LimitKeeper:
    """The limits of a server with accounts in `database`; `redis` is a URL.

    Raises SetupError for a store that cannot be used. Blocks.
    """

    def __init__(self, database: Database, metrics: Metrics, *, redis: str | None = None) -> None:
        from lorabay.accounts.ledger.desk import LimitDesk
        from lorabay.accounts.ledger.rule_book import RuleBook
        from lorabay.accounts.ledger.sql_store import SqlStore

        self._metrics = metrics
        self._server = uuid.uuid4().hex[:12]
        self._rules = RuleBook(database)
        self.desk = LimitDesk(database, self._rules)
        durable = self._sharing(SqlStore(database), "database")
        quick = durable if redis is None else self._sharing(_redis_store(redis), "redis")
        self._sharings = (durable,) if quick is durable else (durable, quick)

        ledger = SharedLedger(
            quick, durable, refused=lambda limit: metrics.limit_refusals.labels(limit).inc()
        )
        self.allowances = Allowances(ledger, lambda: self._rules.rules)

    def _sharing(self, store: Store, name: str) -> Sharing:
        divided = self._metrics.limits_divided.labels(name)
        divided.set(0)
        guarded = GuardedStore(
            store, self._server, name=name, gone=lambda is_gone: divided.set(int(is_gone))
        )
        return Sharing(guarded)

    async def run(self) -> None:
        """Follow the rules, and tell the stores what this server uses, until cancelled."""
        async with asyncio.TaskGroup() as together:
            together.create_task(self._rules.follow())
            for sharing in self._sharings:
                together.create_task(sharing.run())

    async def close(self) -> None:
        """Give back what this server holds, if its stores answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                for sharing in self._sharings:
                    await sharing.close()


def _redis_store(url: str) -> Store:
    """Return the store in Redis, which must answer: a server that never heard from it knows nothing
    of the others.
    """
    from lorabay.accounts.ledger.redis_store import RedisStore

    store = RedisStore(url)
    store.check()
    return store

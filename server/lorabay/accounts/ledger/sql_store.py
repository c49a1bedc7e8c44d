"""Tallies in the database of the accounts, for servers that share it.

A row a counter. Its lock is what makes a settlement whole: SQLite lets one writer in at a time,
PostgreSQL locks the rows that are read, in one order for all servers. The clock is the database's
on PostgreSQL; a file of SQLite has none, so that its server's own steady clock is taken.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, String, Table, Text, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lorabay.accounts.database.metadata import METADATA
from lorabay.accounts.ledger.memory_store import steady_clock
from lorabay.accounts.ledger.store import StoreGone
from lorabay.accounts.ledger.tally import decode, encode, settle
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lorabay.accounts.database.database import Database
    from lorabay.accounts.ledger.store import Clock, Replies, Reports
    from lorabay.accounts.ledger.tally import Counter, Reply, Tally

LEDGER = Table(
    "ledger",
    METADATA,
    Column("counter", String(400), primary_key=True),
    Column("tally", Text, nullable=False),
)
"""The tally of each counter, as `tally.encode` writes it."""

TOGETHER = 500
"""Counters that are settled in one transaction: SQLite takes a few thousand values a statement."""

PATIENCE_MS = 1_500
"""How long a statement may take on PostgreSQL, with its waits for other servers."""


class SqlStore:
    """Tallies in `database`, by its clock unless `clock` is given."""

    def __init__(self, database: Database, *, clock: Clock | None = None) -> None:
        self._database = database
        self._has_clock = database.engine.dialect.name == "postgresql" and clock is None
        self._clock = clock or steady_clock()
        self._inserts = postgresql.insert if _is_postgres(database) else sqlite.insert
        self._known: set[str] = set()
        """Counters that have a row, as far as is known."""

    def settle(self, server: str, reports: Reports) -> Replies:
        """Settle the reports of a server; raises StoreGone."""
        counters = sorted(reports, key=lambda counter: counter.name)
        replies: dict[Counter, Reply] = {}
        for start in range(0, len(counters), TOGETHER):
            some = counters[start : start + TOGETHER]
            try:
                settling = partial(self._settle, server=server, counters=some, reports=reports)
                replies |= self._database.write(settling)
            except SetupError as error:
                # A database that comes back may be an older copy, which lacks rows.
                self._known.clear()
                raise StoreGone(error.message) from error
            # Not before the commit: rows of a transaction that fails are not there.
            self._known.update(counter.name for counter in some)
        return replies

    def _settle(
        self, connection: Connection, server: str, counters: Sequence[Counter], reports: Reports
    ) -> Mapping[Counter, Reply]:
        if _is_postgres(self._database):
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {PATIENCE_MS}")

        names = [counter.name for counter in counters]
        self._make_rows(connection, names)
        tallies = _locked(connection, names)
        lost = self._known.difference(tallies).intersection(names)
        if lost:
            # Somebody deleted rows, or another copy of the database has taken this one's place.
            self._known -= lost
            self._make_rows(connection, names)
            tallies = _locked(connection, names)

        # Asked once the rows are locked: no server's time is then before that of another one.
        now = self._now(connection)
        replies = {
            counter: settle(tallies[counter.name], counter, server, reports[counter], now)
            for counter in counters
        }
        connection.execute(
            update(LEDGER).where(LEDGER.c.counter == bindparam("name")),
            [
                {"name": counter.name, "tally": encode(reply.tally)}
                for counter, reply in replies.items()
            ],
        )
        return replies

    def _make_rows(self, connection: Connection, names: Sequence[str]) -> None:
        """Add an empty row for each counter that has none."""
        new = [{"counter": name, "tally": "{}"} for name in names if name not in self._known]
        if not new:
            return

        insert: Any = self._inserts(LEDGER)
        connection.execute(insert.on_conflict_do_nothing(), new)

    def _now(self, connection: Connection) -> float:
        if not self._has_clock:
            return self._clock()
        seconds = connection.execute(select(func.extract("epoch", func.clock_timestamp())))
        return float(seconds.scalar_one())


def _locked(connection: Connection, names: Sequence[str]) -> dict[str, Tally]:
    """Return the tallies that have rows, and keep others from these until the commit."""
    rows = connection.execute(
        select(LEDGER.c.counter, LEDGER.c.tally)
        .where(LEDGER.c.counter.in_(names))
        .order_by(LEDGER.c.counter)
        .with_for_update()
    )
    return {name: decode(text) for name, text in rows}


def _is_postgres(database: Database) -> bool:
    return database.engine.dialect.name == "postgresql"

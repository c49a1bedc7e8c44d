"""Tallies in a real database; what it shares with other stores is tried in `test_store`."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, event
from sqlalchemy.exc import OperationalError

from lorabay.accounts.database.database import open_database
from lorabay.accounts.ledger.periods import MINUTE
from lorabay.accounts.ledger.sql_store import LEDGER, SqlStore
from lorabay.accounts.ledger.store import StoreGone
from lorabay.accounts.ledger.tally import Counter, Report

if TYPE_CHECKING:
    from lorabay.accounts.database.database import Database
    from tests.fixtures.databases import PostgresServer

TOKENS = Counter("key:k:tokens_per_minute", MINUTE, 100)
ASKS = {TOKENS: Report(needs=(1,))}


def test_servers_that_come_at_once_get_the_limit_together(database_url: str) -> None:
    """Each waits for the rows of the other."""
    given: list[int] = []
    with open_database(database_url), open_database(database_url):
        pass

    def spend(server: str) -> None:
        held = 0
        with open_database(database_url) as opened:
            store = SqlStore(opened)
            for _ in range(40):
                held += store.settle(server, {TOKENS: Report(held, needs=(1,))})[TOKENS].given
        given.append(held)

    threads = [threading.Thread(target=spend, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(given) == 100


def test_a_round_is_a_few_statements(database: Database) -> None:
    """However many counters it settles."""
    store = SqlStore(database)
    counters = [Counter(f"key:{number}:x", MINUTE, 9) for number in range(100)]
    store.settle("a", dict.fromkeys(counters, Report()))
    statements: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *others: statements.append(statement),
    )
    store.settle("a", dict.fromkeys(counters, Report()))
    assert len(statements) <= 5


def test_a_round_that_failed_is_tried_again_from_the_beginning(database: Database) -> None:
    """Bug: rows of a transaction that was rolled back were taken to be there, for ever."""
    store = SqlStore(database)

    @event.listens_for(database.engine, "before_cursor_execute")
    def fail(connection: object, cursor: object, statement: str, *others: object) -> None:
        if statement.startswith("UPDATE ledger"):
            raise OperationalError(statement, {}, Exception("the disk is full"))

    with pytest.raises(StoreGone):
        store.settle("a", ASKS)
    event.remove(database.engine, "before_cursor_execute", fail)
    assert store.settle("a", ASKS)[TOKENS].given >= 1


def test_rows_that_an_older_copy_lacks_are_made_again(database: Database) -> None:
    """Bug: after an outage, a database restored from a copy failed at every round."""
    store = SqlStore(database)
    store.settle("a", ASKS)

    @event.listens_for(database.engine, "before_cursor_execute")
    def fail(connection: object, cursor: object, statement: str, *others: object) -> None:
        raise OperationalError(statement, {}, Exception("the server is gone"))

    with pytest.raises(StoreGone):
        store.settle("a", ASKS)
    event.remove(database.engine, "before_cursor_execute", fail)
    database.write(lambda connection: connection.execute(delete(LEDGER)))
    assert store.settle("a", ASKS)[TOKENS].given >= 1


def test_rows_that_somebody_deletes_are_made_again(database: Database) -> None:
    """Bug: one lost row failed the limits of everybody until a restart."""
    store = SqlStore(database)
    store.settle("a", ASKS)
    database.write(lambda connection: connection.execute(delete(LEDGER)))
    assert store.settle("a", ASKS)[TOKENS].given >= 1
    assert store.settle("a", ASKS)[TOKENS].was_known


def test_the_time_is_near_that_of_the_day(database: Database) -> None:
    """The database's own where it has one."""
    assert abs(SqlStore(database).settle("a", ASKS)[TOKENS].now - time.time()) < 60


def test_a_database_that_is_gone_is_told_as_that(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """And one that is back is used again, with what it had."""
    with open_database(postgres_url) as opened:
        store = SqlStore(opened)
        store.settle("a", ASKS)
        postgres_server.stop()
        try:
            with pytest.raises(StoreGone):
                store.settle("a", ASKS)
        finally:
            postgres_server.start()
        assert store.settle("a", ASKS)[TOKENS].was_known

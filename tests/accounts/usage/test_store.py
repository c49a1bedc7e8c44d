"""Usage in a real database: outages, rows that it refuses, and many writers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, func, select

from lorabay.accounts.database.changes import count_change, newest_change
from lorabay.accounts.database.database import Database, open_database
from lorabay.accounts.usage.questions import By, Question
from lorabay.accounts.usage.recorder import JournalRecorder
from lorabay.accounts.usage.store import DatabaseStore
from lorabay.accounts.usage.tables import USAGE
from lorabay.errors import SetupError
from tests.accounts.usage.made import a_record
from tests.fixtures.databases import PostgresServer

PATIENCE_S = 60.0


def count_rows(database: Database) -> int:
    return database.read(
        lambda connection: connection.execute(select(func.count()).select_from(USAGE)).scalar_one()
    )


def test_what_was_inserted_is_reported(database: Database) -> None:
    """Once, however often it is inserted."""
    store = DatabaseStore(database)
    record = a_record()
    assert store.insert([record, a_record()]) == 2
    assert store.insert([record]) == 0
    [line] = store.answer(Question((By.KEY,))).lines
    assert (line.labels, line.tokens.requests) == (("k-1",), 2)


def test_a_row_that_the_database_refuses_holds_up_no_other(database: Database) -> None:
    """It is left out, and logged."""
    wrong = a_record(prompt_tokens=None)
    assert DatabaseStore(database).insert([a_record(), wrong, a_record()]) == 2
    assert count_rows(database) == 2


def test_a_database_that_is_gone_is_an_error_of_its_own(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """To the importer it is one to try again, to a reader one to tell."""
    with open_database(postgres_url) as database:
        store = DatabaseStore(database)
        postgres_server.stop()
        try:
            with pytest.raises(OSError, match="cannot be used"):
                store.insert([a_record()])
            with pytest.raises(SetupError):
                store.answer(Question())
        finally:
            postgres_server.start()
        assert store.insert([a_record()]) == 1


def test_an_outage_of_postgres_loses_nothing_and_doubles_nothing(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Any
) -> None:
    """Exchanges end meanwhile as ever; what they cost comes into the database after it."""
    with open_database(postgres_url) as database:
        recorder = JournalRecorder(tmp_path, DatabaseStore(database))
        for _ in range(50):
            recorder.record(a_record())
        assert recorder.flush(PATIENCE_S)

        postgres_server.stop()
        try:
            for _ in range(50):
                recorder.record(a_record())
            assert not recorder.flush(1.0)
            assert recorder.waiting == 50
        finally:
            postgres_server.start()
        assert recorder.flush(PATIENCE_S)
        assert recorder.waiting == 0
        assert count_rows(database) == 100
        assert DatabaseStore(database).answer(Question()).total.tokens.requests == 100
        recorder.stop(PATIENCE_S)


async def test_usage_and_the_writes_of_many_administrators_lock_nobody_out(
    sqlite_url: str, tmp_path: Any
) -> None:
    """32 tasks write while 10,000 rows of usage come in, and each of them succeeds."""
    with open_database(sqlite_url) as database:
        recorder = JournalRecorder(tmp_path / "journals", DatabaseStore(database))

        async def administrate() -> None:
            for _ in range(10):
                await database.in_writer(lambda connection: count_change(connection, "keys"))

        async def answer() -> None:
            for number in range(10_000):
                recorder.record(a_record())
                if number % 100 == 0:
                    await asyncio.sleep(0)

        await asyncio.gather(answer(), *(administrate() for _ in range(32)))
        assert await asyncio.to_thread(recorder.flush, PATIENCE_S)
        assert count_rows(database) == 10_000
        assert database.read(lambda connection: newest_change(connection, "keys")) == 320
        recorder.stop(PATIENCE_S)


def test_a_report_never_reads_the_rows_of_exchanges(database: Database) -> None:
    """There may be millions of them."""
    store = DatabaseStore(database)
    store.insert([a_record()])
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    assert store.answer(Question((By.MONTH, By.KEY))).lines
    assert any("usage_days" in statement for statement in statements)
    assert not any("FROM usage\n" in statement or "FROM usage " in statement
                   for statement in statements)  # fmt: skip

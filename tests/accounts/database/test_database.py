"""A database that can be used, and every way in which one cannot."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from lorabay.accounts.database.database import Database, open_database, upgrade_database
from lorabay.errors import SetupError, UsageError
from tests.fixtures.databases import PostgresServer, free_port

ADD = text("INSERT INTO tenants (id, created_at) VALUES (:id, 0)")
COUNT = text("SELECT count(*) FROM tenants")


def tenants(connection: Connection) -> int:
    return int(connection.execute(COUNT).scalar_one())


def test_what_was_written_is_there_again(database_url: str) -> None:
    """After the database was closed and opened, too."""
    with open_database(database_url) as database:
        database.write(lambda connection: connection.execute(ADD, {"id": "a"}))
        assert database.read(tenants) == 1
    with open_database(database_url) as database:
        assert database.read(tenants) == 1


def test_a_read_sees_one_state_of_the_database(database: Database) -> None:
    """Also what another one writes while it reads: before it or behind it, never in between."""

    def read_twice(connection: Connection) -> tuple[int, int]:
        before = tenants(connection)
        database.write(lambda writing: writing.execute(ADD, {"id": "a"}))
        return before, tenants(connection)

    assert database.read(read_twice) == (0, 0)
    assert database.read(tenants) == 1


def test_work_that_fails_leaves_nothing(database: Database) -> None:
    """A statement's own failure passes as it is: it is a bug, or a conflict that is expected."""
    database.write(lambda connection: connection.execute(ADD, {"id": "a"}))

    def twice(connection: Connection) -> None:
        connection.execute(ADD, {"id": "b"})
        connection.execute(ADD, {"id": "a"})

    with pytest.raises(IntegrityError):
        database.write(twice)
    assert database.read(tenants) == 1


async def test_the_loop_never_waits_for_a_statement(database: Database) -> None:
    """Every statement runs in another thread, writes in one, reads beside a write that hangs."""
    threads: set[str] = set()

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(*_: object) -> None:
        threads.add(threading.current_thread().name)

    go_on = threading.Event()

    def slow(connection: Connection) -> None:
        connection.execute(ADD, {"id": "a"})
        go_on.wait(60)

    writing = asyncio.create_task(database.in_writer(slow))
    then = asyncio.create_task(database.in_writer(tenants))
    assert await database.in_reader(tenants) == 0
    go_on.set()
    await writing
    assert await then == 1
    assert threads == {"lorabay-database-write", "lorabay-database-read"}


async def test_thirty_two_tasks_write_at_once(database: Database) -> None:
    """No lock is in anybody's way, and every row is there."""

    async def write(number: int) -> None:
        for row in range(5):
            name = f"{number}-{row}"
            await database.in_writer(lambda connection: connection.execute(ADD, {"id": name}))  # noqa: B023

    await asyncio.gather(*map(write, range(32)))
    assert await database.in_reader(tenants) == 160


def test_close_waits_for_what_is_to_be_written(database_url: str) -> None:
    """Also for what has not begun."""

    async def leave(database: Database) -> None:
        for name in "abc":
            task = database.in_writer(lambda connection: connection.execute(ADD, {"id": name}))  # noqa: B023
            await asyncio.shield(task)

    with open_database(database_url) as database:
        asyncio.run(leave(database))
    with open_database(database_url) as database:
        assert database.read(tenants) == 3


def set_revision(url: str, revision: str) -> None:
    upgrade_database(url)
    with open_database(url) as database:
        statement = text("UPDATE lorabay_version SET version_num = :revision")
        database.write(lambda connection: connection.execute(statement, {"revision": revision}))


def test_a_newer_database_is_refused(database_url: str) -> None:
    """By servers and by the upgrade, and nothing of it is touched."""
    set_revision(database_url, "9999")
    for use in (open_database, upgrade_database):
        with pytest.raises(SetupError, match="has schema 9999, which this lorabay does not know"):
            use(database_url)


def test_an_older_database_is_refused_until_it_is_upgraded(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message names the command."""
    from lorabay.accounts.database import schema
    from tests.accounts.database.test_schema import newer_program

    (*_, last) = upgrade_database(database_url)
    newer = newer_program(tmp_path / "newer", before=last)
    original, step = schema.state_of, schema.upgrade
    monkeypatch.setattr(schema, "state_of", lambda connection: original(connection, newer))
    monkeypatch.setattr(schema, "upgrade", lambda connection: step(connection, newer))
    with pytest.raises(SetupError, match="`lorabay database upgrade`"):
        open_database(database_url)
    assert upgrade_database(database_url) == ("9999",)
    open_database(database_url).close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """And is left as it is."""
    path = tmp_path / "accounts.db"
    path.write_text("These are my notes. " * 100)
    with pytest.raises(SetupError, match=f"{path} cannot be used: file is not a database"):
        open_database(path)
    assert path.read_text().startswith("These are my notes.")


def test_a_read_only_database_is_refused(tmp_path: Path) -> None:
    """Before a server relies on it."""
    path = tmp_path / "accounts.db"
    upgrade_database(path)
    with pytest.raises(SetupError, match="readonly database"):
        open_database(f"sqlite:///file:{path}?mode=ro&uri=true")


def test_a_read_only_postgres_is_refused(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    """As a copy that follows another server is."""
    upgrade_database(postgres_url)
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(SetupError, match="read-only transaction"):
        open_database(postgres_url)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """As what it is, when something no longer fits."""
    with open_database(tmp_path / "accounts.db") as database:

        def fill(connection: Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 30")
            for number in range(10_000):
                connection.execute(ADD, {"id": f"{number}" * 10})

        with pytest.raises(SetupError, match="database or disk is full"):
            database.write(fill)
        assert database.read(tenants) == 0


def test_a_server_that_is_not_there_is_told() -> None:
    """Within seconds, without the password."""
    url = f"postgresql://ada:s3cret@127.0.0.1:{free_port()}/lorabay"
    with pytest.raises(SetupError, match="cannot be used") as caught:
        open_database(url)
    assert "s3cret" not in caught.value.message


def test_a_database_that_is_not_there_is_told(postgres_url: str) -> None:
    """By its name."""
    with pytest.raises(SetupError, match='database "nowhere" does not exist'):
        open_database(postgres_url.rpartition("/")[0] + "/nowhere")


def test_a_server_that_goes_and_comes_back_is_used_again(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    """In between, work fails and says why."""
    with open_database(postgres_url) as database:
        postgres_server.stop()
        try:
            with pytest.raises(SetupError, match="cannot be used"):
                database.read(tenants)
        finally:
            postgres_server.start()
        assert database.read(tenants) == 0


@pytest.mark.parametrize("url", ["", "mysql://db/x"])
def test_no_url_of_a_database_is_a_wrong_setting(url: str) -> None:
    """Exit code 2, before anything is made."""
    with pytest.raises(UsageError):
        open_database(url)

"""Connections: how they are set up, and that a transaction that writes never meets another one."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection

from lorabay.accounts.database.addresses import read_address
from lorabay.accounts.database.engines import for_reads, make_engine
from lorabay.errors import SetupError


def pragma(connection: Connection, name: str) -> object:
    return connection.execute(text(f"PRAGMA {name}")).scalar_one()


def test_sqlite_keeps_a_log_and_waits_for_the_disk(tmp_path: Path) -> None:
    """Every connection of the pool is set up so."""
    engine = make_engine(read_address(tmp_path / "new" / "accounts.db"))
    with engine.begin() as one, for_reads(engine).begin() as other:
        for connection in (one, other):
            assert pragma(connection, "journal_mode") == "wal"
            assert pragma(connection, "synchronous") == 2
            assert pragma(connection, "foreign_keys") == 1
            assert pragma(connection, "busy_timeout") == 5000
    engine.dispose()


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    """It holds who used what."""
    path = tmp_path / "accounts.db"
    make_engine(read_address(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"file/accounts\.db cannot be made"):
        make_engine(read_address(tmp_path / "file" / "accounts.db"))


def test_a_read_that_turns_into_a_write_waits_for_its_turn(tmp_path: Path) -> None:
    """Eight threads read a number and write the next one: no lock, and no number is lost."""
    engine = make_engine(read_address(tmp_path / "accounts.db"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (n INTEGER)"))
        connection.execute(text("INSERT INTO numbers VALUES (0)"))

    def add() -> None:
        for _ in range(5):
            with engine.begin() as connection:
                n = connection.execute(text("SELECT n FROM numbers")).scalar_one()
                connection.execute(text("UPDATE numbers SET n = :n"), {"n": n + 1})

    with ThreadPoolExecutor(8) as pool:
        for added in [pool.submit(add) for _ in range(8)]:
            added.result()
    with engine.begin() as connection:
        assert connection.execute(text("SELECT n FROM numbers")).scalar_one() == 40
    engine.dispose()


def test_a_reader_does_not_wait_for_the_writer(tmp_path: Path) -> None:
    """It sees what was there when it began."""
    engine = make_engine(read_address(tmp_path / "accounts.db"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (n INTEGER)"))
    reads = for_reads(engine)
    with engine.begin() as writer:
        writer.execute(text("INSERT INTO numbers VALUES (1)"))
        with reads.begin() as reader:
            assert reader.execute(text("SELECT count(*) FROM numbers")).scalar_one() == 0
    with reads.begin() as reader:
        assert reader.execute(text("SELECT count(*) FROM numbers")).scalar_one() == 1
    engine.dispose()


def test_postgres_ends_what_takes_too_long(postgres_url: str) -> None:
    """And what the operator's URL says goes first."""
    engine = make_engine(read_address(postgres_url))
    with engine.begin() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "30s"
        assert connection.execute(text("SHOW application_name")).scalar_one() == "lorabay"
    engine.dispose()

    engine = make_engine(read_address(f"{postgres_url}?application_name=mine"))
    with engine.begin() as connection:
        assert connection.execute(text("SHOW application_name")).scalar_one() == "mine"
    engine.dispose()

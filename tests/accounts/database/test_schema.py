"""Schemas: empty, older, current, newer, and the way between them."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from lorabay.accounts.database.addresses import read_address
from lorabay.accounts.database.database import upgrade_database
from lorabay.accounts.database.engines import make_engine
from lorabay.accounts.database.schema import (
    MIGRATIONS,
    VERSION_TABLE,
    State,
    revision_of,
    state_of,
    upgrade,
)

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{before}"

def upgrade() -> None:
    op.create_table("later", sa.Column("id", sa.Integer, primary_key=True))
    {then}
"""


def newer_program(folder: Path, before: str, then: str = "") -> Path:
    """Return the migrations of a program that has one more."""
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "r9999_later.py").write_text(NEXT.format(before=before, then=then))
    return folder


def test_an_empty_database_gets_every_migration(database_url: str) -> None:
    """In their order, once."""
    engine = make_engine(read_address(database_url))
    with engine.begin() as connection:
        assert state_of(connection) is State.EMPTY
        taken = upgrade(connection)
        assert taken == tuple(sorted(taken))
        assert len(taken) >= 1
        assert revision_of(connection) == taken[-1]
    with engine.begin() as connection:
        assert state_of(connection) is State.CURRENT
        assert upgrade(connection) == ()
    engine.dispose()


def test_a_newer_program_finds_an_older_schema_and_the_older_one_a_newer(
    database_url: str, tmp_path: Path
) -> None:
    """And only the newer one takes the step."""
    (*_, last) = upgrade_database(database_url)
    newer = newer_program(tmp_path / "newer", before=last)
    engine = make_engine(read_address(database_url))
    with engine.begin() as connection:
        assert state_of(connection, newer) is State.OLDER
        assert upgrade(connection, newer) == ("9999",)
        assert state_of(connection, newer) is State.CURRENT
        assert state_of(connection) is State.NEWER
    engine.dispose()


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    database_url: str, tmp_path: Path
) -> None:
    """Neither its tables nor its number stay."""
    (*_, last) = upgrade_database(database_url)
    broken = newer_program(tmp_path / "newer", before=last, then="raise RuntimeError('power')")
    engine = make_engine(read_address(database_url))
    with pytest.raises(RuntimeError, match="power"), engine.begin() as connection:
        upgrade(connection, broken)
    with engine.begin() as connection:
        assert state_of(connection) is State.CURRENT
        assert not inspect(connection).has_table("later")
    engine.dispose()


def test_two_upgrades_at_once_are_one(database_url: str) -> None:
    """The second one waits, and finds nothing to do."""
    taken: list[tuple[str, ...]] = []
    threads = [
        threading.Thread(target=lambda: taken.append(upgrade_database(database_url)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 2
    assert () in taken
    assert any(taken)


def test_the_number_has_a_table_of_ours(database_url: str) -> None:
    """Another program's Alembic may be in the same database."""
    upgrade_database(database_url)
    engine = make_engine(read_address(database_url))
    with engine.begin() as connection:
        assert inspect(connection).has_table(VERSION_TABLE)
        assert not inspect(connection).has_table("alembic_version")
        assert connection.execute(text("SELECT count(*) FROM lorabay_version")).scalar_one() == 1
    engine.dispose()

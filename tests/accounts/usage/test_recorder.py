"""A server's usage from its exchanges to the database, over kills of the whole process."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from sqlalchemy import select

from lorabay.accounts.database.database import Database, open_database
from lorabay.accounts.usage.questions import Question
from lorabay.accounts.usage.recorder import JournalRecorder, NoRecorder
from lorabay.accounts.usage.store import DatabaseStore
from lorabay.accounts.usage.tables import USAGE
from tests.accounts.usage.made import a_record
from tests.accounts.usage.stores import FakeStore

PATIENCE_S = 60.0
KILLS = 20


def test_usage_is_where_reports_find_it_after_a_flush(tmp_path: Path) -> None:
    """And nothing waits any more."""
    store = FakeStore()
    recorder = JournalRecorder(tmp_path, store)
    recorder.record(a_record())
    assert recorder.flush(PATIENCE_S)
    assert len(store.records) == 1
    assert recorder.waiting == 0


def test_a_server_that_ends_well_leaves_no_journal(tmp_path: Path) -> None:
    """All of it is in the database."""
    recorder = JournalRecorder(tmp_path, FakeStore())
    recorder.record(a_record())
    recorder.stop(PATIENCE_S)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ends_while_its_database_is_down_leaves_its_journal(tmp_path: Path) -> None:
    """The end does not wait for the database; what waits is counted."""
    store = FakeStore()
    store.up.clear()
    recorder = JournalRecorder(tmp_path, store)
    recorder.record(a_record())
    recorder.stop(0.5)
    assert recorder.waiting == 1
    assert len(list(tmp_path.rglob("*.log"))) == 1
    store.up.set()
    assert recorder.flush(PATIENCE_S)


def test_without_accounts_nothing_is_kept() -> None:
    """And nothing is waited for."""
    recorder = NoRecorder()
    recorder.record(a_record())
    assert recorder.flush(0)
    recorder.stop(0)


def ids(output: IO[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield what a server says: `recorded` or `committed`, and ids."""
    for line in output:
        what, *rest = line.split()
        yield what, rest


def test_a_server_that_is_killed_loses_nothing_that_was_committed(
    database_url: str, tmp_path: Path, figures: list[str]
) -> None:
    """Twenty times: each committed record is in the database once, and no other but recorded
    ones.
    """
    open_database(database_url).close()
    journals = tmp_path / "journals"
    command = [sys.executable, "-m", "tests.accounts.usage.killed", str(journals), database_url]
    recorded: set[str] = set()
    committed: set[str] = set()
    drawn = random.Random(7)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as servers:
        assert servers.stdin is not None
        assert servers.stdout is not None
        for _ in range(KILLS):
            servers.stdin.write("start\n")
            servers.stdin.flush()
            commits = drawn.randrange(1, 12)
            said = ids(servers.stdout)
            _, [pid] = next(said)
            for what, some in said:
                if what == "ended":
                    break
                (recorded if what == "recorded" else committed).update(some)
                if what == "committed" and (commits := commits - 1) == 0:
                    os.kill(int(pid), signal.SIGKILL)
        servers.stdin.close()

    with open_database(database_url) as database:
        recorder = JournalRecorder(journals, DatabaseStore(database))
        assert recorder.flush(PATIENCE_S)
        there = stored(database)
        total = DatabaseStore(database).answer(Question()).total.tokens.requests
        recorder.stop(PATIENCE_S)

    assert committed <= set(there) <= recorded
    assert len(there) == len(set(there)) == total
    assert list(journals.iterdir()) == []
    if database_url.startswith("sqlite"):
        with sqlite3.connect(database_url.removeprefix("sqlite:///")) as plain:
            assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        plain.close()
    figures.append(
        f"usage over {KILLS} kills: {len(recorded)} recorded, {len(committed)} committed, "
        f"{len(there)} in the database, {len(there) - total} doubled"
    )


def stored(database: Database) -> list[str]:
    return database.read(lambda connection: list(connection.scalars(select(USAGE.c.id))))


@pytest.fixture(autouse=True)
def _no_settings(no_settings_in_environment: None) -> None:
    """Children see none either."""

"""Connections to a database, as every part of the accounts wants them.

SQLite: a write-ahead log, so that readers do not wait for the writer, and each write of a
transaction is on disk when it ends. A transaction that writes says so when it begins (`BEGIN
IMMEDIATE`): one that began by reading could not become a writer beside another one, however long it
waited. PostgreSQL: every wait has an end, so that a server that is gone holds up no thread for
ever.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine

from lorabay.accounts.database.addresses import file_of, is_sqlite, shown
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

_READS_ONLY = "lorabay_reads_only"
"""Execution option of connections that never write."""

BUSY_S = 5
"""How long a statement waits for the writer of another process, and a connect for a server."""

STATEMENT_MS = 30_000
"""How long a statement may take; a report over a year's usage takes seconds."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)


def make_engine(address: URL) -> Engine:
    """Return the engine for a database; connects to nothing yet.

    The file of SQLite is made if it is not there, for its owner alone. Raises SetupError if it
    cannot be.
    """
    if is_sqlite(address):
        return _sqlite_engine(address)

    return create_engine(
        address,
        # A connection that a restarted server has forgotten is replaced before it is used.
        pool_pre_ping=True,
        pool_timeout=BUSY_S,
        connect_args=_postgres_arguments(address),
    )


def for_reads(engine: Engine) -> Engine:
    """Return an engine for work that reads only: each piece of it sees one state of the database.

    On SQLite it does not wait for the writer.
    """
    if is_sqlite(engine.url):
        return engine.execution_options(**{_READS_ONLY: True})
    # By default PostgreSQL shows each statement what others have written since the one before.
    return engine.execution_options(isolation_level="REPEATABLE READ")


def _sqlite_engine(address: URL) -> Engine:
    path = file_of(address)
    if path is not None:
        _make_file(path, address)

    engine = create_engine(address, pool_timeout=BUSY_S, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine


def _make_file(path: Path, address: URL) -> None:
    """Make an empty database, which nobody but its owner may read: it holds who used what."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    except OSError as error:
        raise SetupError(
            f"the database {shown(address)} cannot be made: {error.strerror or error}"
        ) from None


def _prepare_connection(connection: Any, _: object) -> None:
    # sqlite3 would begin transactions by itself, late and without IMMEDIATE.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get(_READS_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _postgres_arguments(address: URL) -> dict[str, object]:
    arguments: dict[str, object] = {
        "connect_timeout": BUSY_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
        "options": f"-c statement_timeout={STATEMENT_MS}",
        "application_name": "lorabay",
    }
    # What the operator's URL says goes first.
    return {name: value for name, value in arguments.items() if name not in address.query}

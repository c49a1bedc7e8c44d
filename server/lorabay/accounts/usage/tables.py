"""The tables of usage: a row for each exchange, and sums by day that reports read.

The sums are kept in the transaction that inserts the rows, so they always agree: a month over a
million exchanges is a sum over a few thousand rows. Both are written alike for SQLite and Postgres.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Integer, String, Table
from sqlalchemy.dialects import postgresql, sqlite

from lorabay.accounts.database.metadata import METADATA
from lorabay.accounts.usage.records import values_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from lorabay.accounts.usage.records import UsageRecord

NAME = 255
"""Characters of a name, at most: of a key's id, a tenant, an adapter."""

USAGE = Table(
    "usage",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("key", String(NAME), nullable=False),
    Column("tenant", String(NAME), nullable=False),
    Column("adapter", String(NAME), nullable=False),
    Column("version", String(64), nullable=False),
    Column("call", String(32), nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("generated_tokens", BigInteger, nullable=False),
    Column("prompts", Integer, nullable=False),
    Column("sequences", Integer, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("queue_ms", BigInteger),
    Column("first_token_ms", BigInteger),
    Column("total_ms", BigInteger, nullable=False),
    Column("code", Integer, nullable=False),
    Column("ended", String(16), nullable=False),
    # Ids come in the order of time: rows that lie in that order need no second index.
    sqlite_with_rowid=False,
)
"""A row for each exchange: the fields of `UsageRecord`."""

_LENGTHS = {
    column.name: column.type.length for column in USAGE.columns if isinstance(column.type, String)
}

LABELS = ("day", "key", "tenant", "adapter", "version", "call")
"""What sums are told apart by; `day` is that of an exchange's begin, in UTC."""

SUMS = ("requests", "prompt_tokens", "cached_tokens", "generated_tokens")

USAGE_DAYS = Table(
    "usage_days",
    METADATA,
    Column("day", String(10), primary_key=True),
    Column("key", String(NAME), primary_key=True),
    Column("tenant", String(NAME), primary_key=True),
    Column("adapter", String(NAME), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("call", String(32), primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in SUMS),
    sqlite_with_rowid=False,
)
"""Sums of `usage`, by `LABELS`."""


def insert_usage(connection: Connection, records: Sequence[UsageRecord]) -> int:
    """Insert those records that are not there yet and add them to the sums, in the transaction of
    `connection`; return how many those were.
    """
    statement = _insert(connection, USAGE).on_conflict_do_nothing().returning(USAGE.c.id)
    rows = {record.id: _storable(record) for record in records}
    new = connection.execute(statement, list(rows.values())).scalars().all()
    if new:
        _add_to_sums(connection, (rows[id] for id in new))
    return len(new)


def _add_to_sums(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * len(SUMS))
    for row in rows:
        labels = (_day_of(row["started_ms"]), *(row[name] for name in LABELS[1:]))
        more = (1, *(row[name] for name in SUMS[1:]))
        sums[labels] = [total + count for total, count in zip(sums[labels], more, strict=True)]

    statement = _insert(connection, USAGE_DAYS)
    added = {name: USAGE_DAYS.c[name] + statement.excluded[name] for name in SUMS}
    statement = statement.on_conflict_do_update(index_elements=list(LABELS), set_=added)

    # In one order: servers that change the same rows of one database would else wait for each
    # other in a circle.
    names = (*LABELS, *SUMS)
    added_rows = [
        dict(zip(names, (*labels, *totals), strict=True)) for labels, totals in sorted(sums.items())
    ]
    connection.execute(statement, added_rows)


def _insert(connection: Connection, table: Table) -> Any:
    """Return an insert that knows of conflicts, in the dialect of the database."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _storable(record: UsageRecord) -> dict[str, Any]:
    """Return the row of a record: Postgres takes no text with NUL, and none over its length."""
    row = values_of(record)
    for name, length in _LENGTHS.items():
        row[name] = row[name].replace("\0", "")[:length]
    return row


def _day_of(started_ms: int) -> str:
    return datetime.fromtimestamp(started_ms / 1000, UTC).date().isoformat()

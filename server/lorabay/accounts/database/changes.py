"""Counters of changes: how servers that share a database notice what another process has written.

Whoever changes something counts it in the same transaction. The row of the counter is locked until
that transaction ends, so that changes become visible in the order of their numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, String, Table, select, update

from lorabay.accounts.database.metadata import METADATA

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

CHANGES = Table(
    "changes",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("counter", BigInteger, nullable=False),
)
"""A row for each thing whose changes are counted; a migration adds it."""


def count_change(connection: Connection, name: str) -> int:
    """Count a change of what is called `name`; return its number."""
    counted = (
        update(CHANGES)
        .where(CHANGES.c.name == name)
        .values(counter=CHANGES.c.counter + 1)
        .returning(CHANGES.c.counter)
    )
    return int(connection.execute(counted).scalar_one())


def newest_change(connection: Connection, name: str) -> int:
    """Return the number of the newest change of what is called `name`."""
    newest = select(CHANGES.c.counter).where(CHANGES.c.name == name)
    return int(connection.execute(newest).scalar_one())

"""The tables are as the migration makes them."""

from __future__ import annotations

from sqlalchemy import inspect

from lorabay.accounts.agreement import tables
from lorabay.accounts.database.database import Database


def test_the_migration_makes_these_tables(database: Database) -> None:
    """Column for column."""
    there = inspect(database.engine)
    for table in (tables.KEEPERS, tables.FRONTS, tables.NAMES, tables.ERRANDS):
        columns = {column["name"] for column in there.get_columns(table.name)}
        assert columns == set(table.c.keys())

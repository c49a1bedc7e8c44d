"""What the first migration makes."""

from __future__ import annotations

from sqlalchemy import inspect

from lorabay.accounts.database.database import Database


def test_the_tables_are_there(database: Database) -> None:
    """With the columns by which servers look for keys indexed."""

    def look(connection: object) -> None:
        found = inspect(connection)  # type: ignore[call-overload]
        assert {"changes", "keys", "tenants"} <= set(found.get_table_names())
        indexed = {index["column_names"][0] for index in found.get_indexes("keys")}
        assert {"tenant", "change"} <= indexed

    database.read(look)

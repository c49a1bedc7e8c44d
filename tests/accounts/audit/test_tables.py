"""The table is what the migration makes."""

from __future__ import annotations

from sqlalchemy import inspect

from lorabay.accounts.audit.tables import AUDIT
from lorabay.accounts.database.database import Database


def test_the_columns_are_those_of_the_migration(database: Database) -> None:
    """All that a row tells is in one of them."""

    def look(connection: object) -> None:
        columns = inspect(connection).get_columns("audit")  # type: ignore[call-overload]
        assert [column["name"] for column in columns] == [column.name for column in AUDIT.columns]

    database.read(look)

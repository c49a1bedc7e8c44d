"""What the migration for usage makes."""

from __future__ import annotations

from sqlalchemy import inspect

from lorabay.accounts.database.database import Database
from lorabay.accounts.usage.tables import LABELS


def test_the_tables_are_there(database: Database) -> None:
    """A row is known by its id, a sum by all of its labels."""

    def look(connection: object) -> None:
        found = inspect(connection)  # type: ignore[call-overload]
        assert found.get_pk_constraint("usage")["constrained_columns"] == ["id"]
        assert found.get_pk_constraint("usage_days")["constrained_columns"] == list(LABELS)

    database.read(look)

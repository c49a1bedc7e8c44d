"""What the migration for the ledger and for limits makes."""

from __future__ import annotations

from sqlalchemy import inspect

from lorabay.accounts.database.database import Database
from lorabay.accounts.ledger.rules_table import newest


def test_the_tables_are_there(database: Database) -> None:
    """A tally is known by its counter, limits by what they are for, and changes are counted."""

    def look(connection: object) -> None:
        found = inspect(connection)  # type: ignore[call-overload]
        assert found.get_pk_constraint("ledger")["constrained_columns"] == ["counter"]
        assert found.get_pk_constraint("limits")["constrained_columns"] == ["kind", "name"]

    database.read(look)
    assert database.read(newest) == 0

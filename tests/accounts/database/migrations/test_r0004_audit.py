"""What the migration for the audit makes."""

from __future__ import annotations

from sqlalchemy import inspect

from lorabay.accounts.audit.tables import AUDIT_CHANGE
from lorabay.accounts.database.changes import newest_change
from lorabay.accounts.database.database import Database


def test_the_table_is_there(database: Database) -> None:
    """A row is known by its number, and rows are counted from none."""

    def look(connection: object) -> None:
        found = inspect(connection)  # type: ignore[call-overload]
        assert found.get_pk_constraint("audit")["constrained_columns"] == ["number"]

    database.read(look)
    assert database.read(lambda connection: newest_change(connection, AUDIT_CHANGE)) == 0

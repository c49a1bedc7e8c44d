"""What the migration for shared names makes."""

from __future__ import annotations

from sqlalchemy import inspect

from lorabay.accounts.database.database import Database


def test_a_name_is_one_row_of_a_cluster(database: Database) -> None:
    """And what has changed since a look is found by its number."""

    def look(connection: object) -> None:
        found = inspect(connection)  # type: ignore[call-overload]
        assert found.get_pk_constraint("names")["constrained_columns"] == ["cluster", "name"]
        (index,) = found.get_indexes("names")
        assert index["column_names"] == ["cluster", "number"]

    database.read(look)

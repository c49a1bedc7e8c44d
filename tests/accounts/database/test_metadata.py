"""The tables that the program states are those that its migrations make."""

from __future__ import annotations

import importlib
import pkgutil

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import lorabay.accounts
from lorabay.accounts.database.database import Database
from lorabay.accounts.database.metadata import METADATA
from lorabay.accounts.database.schema import VERSION_TABLE


def test_migrations_and_tables_agree(database: Database) -> None:
    """Alembic finds nothing to add, remove or change on a database that was just made."""
    for module in pkgutil.walk_packages(lorabay.accounts.__path__, "lorabay.accounts."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    assert len(METADATA.tables) >= 3

    def differences(connection: object) -> list[object]:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)  # type: ignore[arg-type]
        return list(compare_metadata(context, METADATA))

    assert database.read(differences) == []

"""Where the database of the accounts is, and whether accounts are in use at all.

They are if a database is named, or if the one in the store is there: `lorabay keys create` makes
it. A server with nothing but `--api-key` has none. Imports no library of databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "accounts.db"
"""The default database: a file of SQLite in the folder of the store."""


def place_of_database(url: str | None, store: Path) -> str | Path:
    """Return where the database is, or would be made: at `url`, or else in the store."""
    return url or store / FILE_NAME


def place_in_use(url: str | None, store: Path) -> str | Path | None:
    """Return where the database is; None if accounts are not in use."""
    if url:
        return url

    default = store / FILE_NAME
    return default if default.exists() else None

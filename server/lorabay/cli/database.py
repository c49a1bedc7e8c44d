"""`lorabay database`: the schema of the accounts' database, and where that database is."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import StoreOption
from lorabay.settings import load_settings

DatabaseOption = Annotated[
    str | None, typer.Option("--database", help="URL of the database. Default: as for `serve`.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands `database ...`."""
    group = typer.Typer(no_args_is_help=True, help="The database of keys, limits and usage.")
    group.command(help="Bring the database to the schema of this lorabay.")(upgrade)
    app.add_typer(group, name="database")


def upgrade(database: DatabaseOption = None, store: StoreOption = None) -> None:
    """Take the migrations that the database lacks, in one transaction, and print them."""
    where = place(database, store)

    from lorabay.accounts.database.database import upgrade_database

    taken = upgrade_database(where)
    steps = ", ".join(taken) if taken else "it was up to date"
    typer.echo(f"the database has the newest schema: {steps}")


def place(database: str | None, store: Path | None) -> str | Path:
    """Return where the database is, as `serve` would find it, with the given flags in front.

    Raises SetupError if the libraries of databases are not installed.
    """
    from lorabay.accounts.libraries import check_libraries
    from lorabay.accounts.place import place_of_database

    check_libraries()
    flags = {"database": database, "store": store}
    settings = load_settings({name: flag for name, flag in flags.items() if flag is not None})

    url = None if settings.database is None else settings.database.get_secret_value()
    return place_of_database(url, settings.store)


def who_runs() -> str:
    """Return who runs the command, as keys and the audit record it."""
    try:
        return f"cli:{getpass.getuser()}"[:128]
    except (KeyError, OSError):  # a container's user may have no name
        return "cli"

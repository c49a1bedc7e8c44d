"""`lorabay audit`: who did what to keys, limits and adapters, and whether a row was changed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabay.cli.database import DatabaseOption, place
from lorabay.cli.options import JsonOption, StoreOption
from lorabay.cli.output import print_json, print_report
from lorabay.errors import InvalidRequest, SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.accounts.audit.chain import Row
    from lorabay.accounts.audit.questions import Question
    from lorabay.accounts.audit.verdict import Verdict
    from lorabay.accounts.database.database import Database


def add_to(app: typer.Typer) -> None:
    """Add the commands `audit ...`."""
    group = typer.Typer(no_args_is_help=True, help="Who did what to keys, limits and adapters.")
    group.command("list", help="List what was done, newest first.")(list_deeds)
    group.command("verify", help="Check that no row was changed, put in or taken out.")(verify)
    app.add_typer(group, name="audit")


def list_deeds(
    who: Annotated[
        str | None, typer.Option(help="Only what they did: admin, cli:USER, oidc:SUBJECT, folder.")
    ] = None,
    action: Annotated[
        str | None, typer.Option(help="Only this, such as key.create; or key, for all of a thing.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Only what was done to this.")] = None,
    since: Annotated[str | None, typer.Option(help="First day, in UTC, as in 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day, in UTC, which is included.")] = None,
    limit: Annotated[int, typer.Option(help="Rows at most.")] = 100,
    database: DatabaseOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Print what was done, newest first."""
    from lorabay.accounts.audit.questions import asked

    if as_json and as_csv:
        raise UsageError("--json and --csv are two forms of the same list: choose one")
    try:
        question = asked(
            who=who, action=action, target=target, since=since, until=until, limit=limit
        )
    except InvalidRequest as error:
        raise UsageError(error.message) from None

    rows = _listed(place(database, store), question)
    _print(rows, as_json=as_json, as_csv=as_csv)


def verify(
    noted: Annotated[
        str | None,
        typer.Option(
            "--noted", help="NUMBER:HASH of a row, kept elsewhere: the head of an earlier check."
        ),
    ] = None,
    database: DatabaseOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the newest row's number and hash; exit with 1 at the first row that does not fit."""
    where = place(database, store)

    from lorabay.accounts.audit import book
    from lorabay.accounts.audit.verdict import read_anchor

    anchor = None if noted is None else read_anchor(noted)
    with _opened(where) as opened:
        verdict = opened.read(partial(book.verify, anchor=anchor))
    if as_json:
        print_json(verdict.as_dict())
    else:
        typer.echo(_sentence(verdict))

    if not verdict.is_whole:
        raise typer.Exit(1)


def _listed(where: str | Path, question: Question) -> Sequence[Row]:
    from lorabay.accounts.audit import book

    with _opened(where) as opened:
        return opened.read(partial(book.listed, question=question))


def _opened(where: str | Path) -> Database:
    from lorabay.accounts.database.database import open_database

    # A question makes no database, and with it accounts.
    if isinstance(where, Path) and not where.exists():
        raise SetupError(
            f"there are no accounts at {where}: name the store of the server, or its --database"
        )
    return open_database(where)


def _sentence(verdict: Verdict) -> str:
    if verdict.is_whole:
        return f"the audit is whole: {verdict.rows} rows, head {verdict.head}"
    return f"the audit is broken at row {verdict.broken}: {verdict.reason}"


def _print(rows: Sequence[Row], *, as_json: bool, as_csv: bool) -> None:
    from lorabay.accounts.audit import forms

    if as_json:
        print_json(forms.as_json(rows))
    elif as_csv:
        typer.echo(forms.as_csv(rows), nl=False)
    else:
        _print_table(rows)


def _print_table(rows: Sequence[Row]) -> None:
    from rich.table import Table
    from rich.text import Text

    shown = ("number", "at", "who", "action", "target", "result")
    table = Table(*shown)
    for row in rows:
        told = row.as_dict()
        # Not what a terminal could take for a command: texts come from clients.
        cells = (str(told.get(name) or "") for name in shown)
        table.add_row(*(Text(cell if cell.isprintable() else ascii(cell)) for cell in cells))
    print_report(table)

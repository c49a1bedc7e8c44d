"""`lorabay usage`: what tenants, keys and adapters have used, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabay.cli.database import DatabaseOption, place
from lorabay.cli.options import JsonOption, StoreOption
from lorabay.cli.output import print_json, print_report
from lorabay.errors import InvalidRequest, SetupError, UsageError
from lorabay.settings import load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from lorabay.accounts.usage.prices import Prices
    from lorabay.accounts.usage.questions import Line, Question, Report


def add_to(app: typer.Typer) -> None:
    """Add the command `usage`."""
    app.command("usage")(usage)


def usage(
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="What lines are told apart by, joined by `,`: key, tenant, adapter, version, "
            "call, day, month.",
        ),
    ] = "tenant,adapter",
    since: Annotated[
        str | None, typer.Option("--since", help="First day, in UTC, as in 2026-11-01.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Last day, in UTC, which is included.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only the key with this id.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant.")] = None,
    adapter: Annotated[str | None, typer.Option("--adapter", help="Only this adapter.")] = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", help="TOML file of prices, for amounts. Default: as for `serve`."),
    ] = None,
    database: DatabaseOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Sum up requests and tokens, as the engine counted them."""
    if as_json and as_csv:
        raise UsageError("--json and --csv are two forms of the same report: choose one")

    question = _question(by, since, until, key, tenant, adapter)
    report = _answer(question, _prices(prices), place(database, store))
    _print(report, as_json=as_json, as_csv=as_csv)


def _question(
    by: str,
    since: str | None,
    until: str | None,
    key: str | None,
    tenant: str | None,
    adapter: str | None,
) -> Question:
    from lorabay.accounts.usage.questions import By, asked

    only = {By.KEY: key, By.TENANT: tenant, By.ADAPTER: adapter}
    given = {name: value for name, value in only.items() if value is not None}
    try:
        return asked(by, since=since, until=until, only=given)
    except InvalidRequest as error:
        raise UsageError(error.message) from None


def _prices(path: Path | None) -> Prices | None:
    from lorabay.accounts.usage.prices import read

    path = path or load_settings({}).usage_prices
    return None if path is None else read(path)


def _answer(question: Question, prices: Prices | None, where: str | Path) -> Report:
    from lorabay.accounts.database.database import open_database
    from lorabay.accounts.usage.store import DatabaseStore

    # A question makes no database, and with it accounts.
    if isinstance(where, Path) and not where.exists():
        raise SetupError(
            f"there are no accounts at {where}: name the store of the server, or its --database"
        )
    with open_database(where) as opened:
        return DatabaseStore(opened).answer(question, prices)


def _print(report: Report, *, as_json: bool, as_csv: bool) -> None:
    from lorabay.accounts.usage import forms

    if as_json:
        print_json(forms.as_json(report))
    elif as_csv:
        typer.echo(forms.as_csv(report), nl=False)
    else:
        print_report(_table(report))


def _table(report: Report) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_footer=len(report.lines) > 1)
    for place_, by in enumerate(report.question.by):
        table.add_column(by.value, footer="" if place_ else "total", overflow="fold")
    total = _cells(report.total, report)
    names = ["requests", "prompt", "cached", "generated"]
    names += [] if report.currency is None else [report.currency]
    for name, sum_ in zip(names, total, strict=True):
        table.add_column(name, footer=sum_, justify="right")

    for line in report.lines:
        table.add_row(*map(Text, line.labels), *_cells(line, report))
    return table


def _cells(line: Line, report: Report) -> list[str]:
    tokens = line.tokens
    cells = [
        f"{count:,}" for count in (tokens.requests, tokens.prompt, tokens.cached, tokens.generated)
    ]
    return cells if report.currency is None else [*cells, f"{line.amount or 0:f}"]

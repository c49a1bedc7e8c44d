"""`lorabay limits`: sets and shows the limits of tenants, adapters, and keys on adapters.

In the database itself. Servers that use it take a change up within a second; none needs to run. A
key's own limits are made with the key.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lorabay.cli.database import DatabaseOption, place, who_runs
from lorabay.cli.options import JsonOption, StoreOption
from lorabay.cli.output import print_json, print_report
from lorabay.errors import InvalidRequest, UsageError

if TYPE_CHECKING:
    from lorabay.accounts.ledger.rules import Rules

TenantOption = Annotated[str | None, typer.Option(help="Limit a tenant: all its keys together.")]
AdapterOption = Annotated[
    str | None, typer.Option(help="Limit an adapter; `__base__` is the base.")
]
KeyOption = Annotated[str | None, typer.Option(help="With --adapter: limit this key id on it.")]
Limit = Annotated[int | None, typer.Option(min=0, help="Default: no limit.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands `limits ...`."""
    group = typer.Typer(no_args_is_help=True, help="Limits of tenants and adapters.")
    group.command("set", help="Set all limits of a tenant, an adapter, or a key on one.")(set_)
    group.command("show", help="Show the limits of tenants, adapters, and keys on them.")(show)
    app.add_typer(group, name="limits")


def set_(
    tenant: TenantOption = None,
    adapter: AdapterOption = None,
    key: KeyOption = None,
    requests_per_minute: Limit = None,
    tokens_per_minute: Limit = None,
    tokens_per_day: Limit = None,
    tokens_per_month: Limit = None,
    parallel: Annotated[
        int | None, typer.Option(min=0, help="Requests at once. Default: no limit.")
    ] = None,
    database: DatabaseOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set all limits of one place, in place of those that it had; without any it has none."""
    where = place(database, store)

    from lorabay.accounts.database.database import open_database
    from lorabay.accounts.ledger.rules_table import read_rules, set_limits
    from lorabay.accounts.ledger.wishes import read_wish

    named = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "tokens_per_day": tokens_per_day,
        "tokens_per_month": tokens_per_month,
        "parallel": parallel,
    }
    try:
        limited, limits = read_wish(tenant=tenant, adapter=adapter, key=key, limits=named)
    except InvalidRequest as error:
        raise UsageError(error.message) from None

    with open_database(where) as opened:
        opened.write(partial(set_limits, place=limited, limits=limits, who=who_runs()))
        _print(opened.read(read_rules), as_json=as_json)


def show(
    database: DatabaseOption = None, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Print every limit but those of keys, which `lorabay keys show` prints."""
    where = place(database, store)

    from lorabay.accounts.database.database import open_database
    from lorabay.accounts.ledger.rules_table import read_rules

    with open_database(where) as opened:
        _print(opened.read(read_rules), as_json=as_json)


def _print(rules: Rules, *, as_json: bool) -> None:
    rows = rules.as_list()
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo("no limits are set but those of keys")
        return

    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    print_report(table)

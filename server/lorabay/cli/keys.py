"""`lorabay keys`: makes, lists, rotates and revokes keys, in the database itself.

Servers that use the database take a change up within a second; none needs to run.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabay.cli.database import DatabaseOption, place, who_runs
from lorabay.cli.options import JsonOption, StoreOption, directory
from lorabay.cli.output import print_json, print_report
from lorabay.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.accounts.database.database import Database
    from lorabay.accounts.keys.book import NewKey
    from lorabay.accounts.keys.record import Key

KeyArgument = Annotated[str, typer.Argument(help="Id of a key, or its name.")]
Limit = Annotated[int | None, typer.Option(min=0, help="Default: no limit.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands `keys ...`."""
    group = typer.Typer(no_args_is_help=True, help="Keys of a server's clients.")
    group.command("create", help="Make a key and print it, once.")(create)
    group.command("list", help="List the keys.")(list_keys)
    group.command("show", help="Show one key.")(show)
    group.command("rotate", help="Give a key a new secret; the former one is taken for a while.")(
        rotate
    )
    group.command("revoke", help="End a key for ever, on every server.")(revoke)
    app.add_typer(group, name="keys")


def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    tenant: Annotated[str | None, typer.Option(help="Whose it is. Default: `default`.")] = None,
    adapters: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may use, joined by `,`: names, also with * ? [abc], NAME@DIGEST, "
            "tag:TAG, base, auto. Default: everything."
        ),
    ] = None,
    endpoints: Annotated[
        list[str] | None, typer.Option(help="Calls, joined by `,`. Default: all of them.")
    ] = None,
    requests_per_minute: Limit = None,
    tokens_per_minute: Limit = None,
    tokens_per_day: Limit = None,
    tokens_per_month: Limit = None,
    parallel: Annotated[
        int | None, typer.Option(min=0, help="Requests at once. Default: no limit.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="A span such as 90d or 12h, or a day. Default: never.")
    ] = None,
    database: DatabaseOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it; warn of adapters that there are none of."""
    where = place(database, store)

    from lorabay.accounts.keys import book
    from lorabay.accounts.keys.wishes import read_wishes
    from lorabay.serving.engine import CALLS

    wishes = read_wishes(
        name,
        tenant=tenant,
        adapters=adapters,
        endpoints=endpoints,
        limits={
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "tokens_per_day": tokens_per_day,
            "tokens_per_month": tokens_per_month,
            "parallel": parallel,
        },
        expires=expires,
        known_endpoints=[call.name for call in CALLS],
    )
    with _opened(where) as opened:
        made = opened.write(partial(book.create, wishes=wishes, who=who_runs()))

    warnings = _warnings(wishes.adapters)
    _print_new(made, warnings, as_json=as_json)


def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only those of a tenant.")] = None,
    database: DatabaseOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every key, or those of a tenant, without secrets."""
    where = place(database, store)

    from lorabay.accounts.keys import book

    with _opened(where) as opened:
        keys = opened.read(partial(book.listed, tenant=tenant))
    if as_json:
        print_json([key.as_dict() for key in keys])
    else:
        _print_table(keys)


def show(
    key: KeyArgument,
    database: DatabaseOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what is known of one key."""
    where = place(database, store)

    from lorabay.accounts.keys import book

    with _opened(where) as opened:
        found = opened.read(partial(book.find, key=key))
    _print_fields(found.as_dict(), as_json=as_json)


def rotate(
    key: KeyArgument,
    overlap: Annotated[
        str, typer.Option(help="How long the former secret is taken, too, such as 24h, 7d or 0.")
    ] = "24h",
    database: DatabaseOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new secret for the key and print it; id, limits and usage stay."""
    where = place(database, store)

    from lorabay.accounts.keys import book
    from lorabay.accounts.keys.wishes import read_span

    overlap_s = read_span(overlap)
    with _opened(where) as opened:
        made = opened.write(partial(book.rotate, key=key, who=who_runs(), overlap_s=overlap_s))
    _print_new(made, [], as_json=as_json)


def revoke(
    key: KeyArgument,
    database: DatabaseOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key and print what is known of it."""
    where = place(database, store)

    from lorabay.accounts.keys import book

    with _opened(where) as opened:
        ended = opened.write(partial(book.revoke, key=key, who=who_runs()))
    _print_fields(ended.as_dict(), as_json=as_json)


def _opened(where: str | Path) -> Database:
    from lorabay.accounts.database.database import open_database

    return open_database(where)


def _warnings(words: Sequence[str]) -> list[str]:
    """Return a warning for each word that means no folder of the adapter directory."""
    from lorabay.accounts.permissions import ANY, without_match

    folder = directory(load_settings({}))
    try:
        names = [child.name for child in folder.iterdir()]
    except OSError:
        return []  # the servers' directory is not on this machine
    unknown = without_match([word for word in words if word != ANY], names)
    return [f"no adapter in {folder} is meant by {word!r}" for word in unknown]


def _print_new(made: NewKey, warnings: list[str], *, as_json: bool) -> None:
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        print_json(made.as_dict() | {"warnings": warnings})
        return

    _print_fields(made.as_dict(), as_json=False)
    typer.echo("Keep the key now: it is not shown again.", err=True)


def _print_fields(described: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(described)
        return
    for name, value in described.items():
        if value is not None:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            typer.echo(f"{name:<20} {shown}")


def _print_table(keys: Sequence[Key]) -> None:
    from rich.table import Table
    from rich.text import Text

    shown = ("id", "name", "tenant", "state", "adapters", "expires_at")
    table = Table(*shown)
    for key in keys:
        described = key.as_dict() | {"adapters": ",".join(key.adapters)}
        table.add_row(*(Text(str(described[column] or "")) for column in shown))
    print_report(table)

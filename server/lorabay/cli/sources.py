"""`lorabay push` and `pull`: adapters to and from buckets, registries and hubs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import JsonOption
from lorabay.cli.output import print_json

Remote = Annotated[
    str, typer.Argument(help="s3://BUCKET/PREFIX, gs://, az://, or oci://REGISTRY/REPOSITORY:TAG.")
]
Origin = Annotated[
    str,
    typer.Argument(
        help="s3://BUCKET/PREFIX, gs://, az://, oci://REGISTRY/REPOSITORY:TAG, or "
        "hf://ORG/NAME@REVISION."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands `push` and `pull`."""
    app.command(help="Send an adapter, or a folder of adapters, to a bucket or a registry.")(push)
    app.command(help="Bring the adapters of a bucket, a registry or a hub into a folder.")(pull)


def push(
    folder: Annotated[Path, typer.Argument(help="An adapter's folder, or one that holds some.")],
    target: Remote,
    as_json: JsonOption = False,
) -> None:
    """Upload, so that no server ever sees half of an adapter."""
    from lorabay.progress import progress_bar
    from lorabay.sources.locations import read_location
    from lorabay.sources.push import check_push, push as run_push

    location = read_location(target)
    adapters = check_push(folder, location)
    with progress_bar(sum(adapter.size for adapter in adapters), f"push to {target}") as advance:
        pushed = run_push(adapters, location, advance)

    if as_json:
        print_json([{"name": name, "at": at} for name, at in pushed.items()])
        return
    for name, at in pushed.items():
        typer.echo(f"{name}: pushed" + (f" as {at}" if at else ""))


def pull(
    source: Origin,
    folder: Annotated[Path, typer.Argument(help="Folder that the adapters' folders go into.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace folders that no pull has made.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Download, each adapter whole or not at all; exit with 1 unless all came."""
    from lorabay.progress import progress_bar
    from lorabay.sources.locations import read_location
    from lorabay.sources.pull import Pull

    task = Pull(read_location(source), folder, replace=replace)
    with ExitStack() as stack:
        pulled = task.run(
            lambda total: stack.enter_context(progress_bar(total, f"pull from {source}"))
        )

    if as_json:
        print_json(
            {
                "adapters": [{"name": name, "at": at} for name, at in pulled.adapters.items()],
                "refused": [
                    {"name": name, "reason": reason} for name, reason in pulled.refused.items()
                ],
            }
        )
    else:
        for name, at in pulled.adapters.items():
            typer.echo(f"{name}: here" + (f", {at}" if at else ""))
        for name, reason in pulled.refused.items():
            typer.echo(f"{name}: not pulled: {reason}", err=True)
    if pulled.refused:
        raise typer.Exit(1)

"""`lorabay search`: the best recipe of a space, and the baseline that others inherit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import BaseOption, JsonOption, prepared_base
from lorabay.cli.output import print_json, print_report

AdapterFolder = Annotated[Path, typer.Argument(help="Folder whose recipe has a table [search].")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Folder of the search, to go on in as well. Default: search-NAME."
    ),
]
BaselineFile = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        help="File for the winner. Default: baseline.toml beside the adapter's folder.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Trials at a time. Default: one a CUDA device, else one."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command `search`."""
    app.command(
        help="Search a recipe's space: pruned trials, the best again over seeds, a baseline."
    )(search)


def search(
    adapter: AdapterFolder,
    base: BaseOption = None,
    output: Output = None,
    baseline: BaselineFile = None,
    workers: Workers = None,
    as_json: JsonOption = False,
) -> None:
    """Search, and print trials, final and what came out; goes on where a kill stopped it."""
    from lorabay.search.libraries import check_libraries

    check_libraries()
    base_folder = prepared_base(base)

    from lorabay.search.search import search as run_search
    from lorabay.search.workers import count_devices

    found = run_search(
        adapter,
        base_folder,
        output or Path(f"search-{adapter.resolve().name}"),
        baseline_file=baseline,
        workers=workers or max(1, count_devices()),
        tell=lambda line: typer.echo(line, err=True),
    )

    if as_json:
        print_json(found.as_dict())
    else:
        print_report(found.table())

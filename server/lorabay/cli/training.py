"""`lorabay train`: adapters from recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import BaseOption, JsonOption, prepared_base
from lorabay.cli.output import print_json

AdapterFolder = Annotated[
    Path, typer.Argument(help="Folder of one adapter, such as adapters/finance.")
]

LARGEST_RANK = 512
"""The largest `max_lora_rank` of an engine."""


def add_to(app: typer.Typer) -> None:
    """Add the command `train`."""
    app.command(help="Train an adapter from its recipe.")(train)


def train(
    adapter: AdapterFolder,
    base: BaseOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write. Default: the adapter's own."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, and drop a checkpoint.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train the adapter of a folder's recipe and print what came out, and whether a server would
    take it; exit with 1 if the training diverged.
    """
    base_folder = prepared_base(base)

    from lorabay.training.train import train_folder

    trained = train_folder(adapter, base_folder, output=output, restart=restart)
    verdict = _verdict(trained.folder, base_folder)

    if as_json:
        print_json({**trained.as_dict(), "verdict": verdict})
    else:
        typer.echo(trained.describe())
        for remark in (*trained.remarks(), verdict):
            typer.echo(f"  {remark}")
    if trained.diverged:
        raise typer.Exit(1)


def _verdict(folder: Path, base: Path) -> str:
    """Return whether a server would serve a result, by the rules of `lorabay check`."""
    from lorabay.files.adapter_folder import CONFIG_FILE

    if not (folder / CONFIG_FILE).is_file():
        return f"a whole model: `lorabay serve --base {folder}` serves it"

    from lorabay.tools.check import check

    (verdict,) = check([folder], base, max_rank=LARGEST_RANK)
    if verdict.spec is None or not verdict.servable:
        return f"not servable as it is: {'; '.join(reason.text for reason in verdict.reasons)}"
    return f"servable: {verdict.spec.format}, rank {verdict.spec.rank}"

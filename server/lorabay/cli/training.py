"""`lorabay train`: adapters from recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import BaseOption, prepared_base

AdapterFolder = Annotated[
    Path, typer.Argument(help="Folder of one adapter, such as adapters/finance.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command `train`."""
    app.command(help="Train an adapter from its recipe.")(train)


def train(adapter: AdapterFolder, base: BaseOption = None, output: Path | None = None) -> None:
    """Train the adapter of a folder's recipe and print what came out."""
    base_folder = prepared_base(base)

    from lorabay.training.train import train_folder

    report = train_folder(adapter, base_folder, output=output)
    typer.echo(report.describe())

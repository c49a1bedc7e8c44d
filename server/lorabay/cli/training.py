"""`lorabay train` and `lorabay evaluate`: adapters from recipes, and how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import BaseOption, JsonOption, prepared_base
from lorabay.cli.output import print_json, print_report

AdapterFolder = Annotated[
    Path, typer.Argument(help="Folder of one adapter, such as adapters/finance.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands `train` and `evaluate`."""
    app.command(help="Train an adapter from its recipe.")(train)
    app.command(help="Measure the base and adapters on the held-out data of every adapter.")(
        evaluate
    )


def train(adapter: AdapterFolder, base: BaseOption = None, output: Path | None = None) -> None:
    """Train the adapter of a folder's recipe and print what came out."""
    base_folder = prepared_base(base)

    from lorabay.training.train import train_folder

    report = train_folder(adapter, base_folder, output=output)
    typer.echo(report.describe())


def evaluate(
    adapters: list[Path],
    base: BaseOption = None,
    limit: int | None = None,
    as_json: JsonOption = False,
) -> None:
    """Print the scores of the base and each adapter on every adapter's held-out data."""
    base_folder = prepared_base(base)

    from lorabay.training.evaluate import evaluate as run_evaluation

    evaluation = run_evaluation(adapters, base_folder, limit=limit)

    if as_json:
        print_json(evaluation.as_dict())
    else:
        print_report(evaluation.table())

"""`lorabay ladder`: more and more of a model, until a domain is good enough."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import BaseOption, JsonOption, prepared_base
from lorabay.cli.output import print_json, print_report

AdapterFolder = Annotated[Path, typer.Argument(help="Folder with the recipe to begin with.")]
TargetOption = Annotated[
    str, typer.Option("--target", help="What must hold, such as 'rouge_l>=35 and loss<=1.6'.")
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Folder of the climb, to go on in as well. Default: ladder-NAME."
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Questions that are answered. Default: all.")
]
MaxTokens = Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")]


def add_to(app: typer.Typer) -> None:
    """Add the command `ladder`."""
    app.command(
        help="Train a higher rank, more modules, then the whole model, until a target holds."
    )(ladder)


def ladder(
    adapter: AdapterFolder,
    target: TargetOption,
    base: BaseOption = None,
    output: Output = None,
    limit: Limit = None,
    max_tokens: MaxTokens = 256,
    as_json: JsonOption = False,
) -> None:
    """Climb, and print each rung with its cost; exit with 1 if none reaches the target."""
    from lorabay.ladder.targets import read_target

    wanted = read_target(target)

    from lorabay.training.recipe import read_recipe

    recipe = read_recipe(adapter)
    base_folder = prepared_base(base)

    from lorabay.base.shapes import BaseShapes
    from lorabay.ladder.climb import climb
    from lorabay.ladder.report import table
    from lorabay.ladder.rungs import rungs_of
    from lorabay.ladder.training_rung import TrainingRung

    rungs = rungs_of(recipe, BaseShapes.read(base_folder))
    trainer = TrainingRung(base_folder, adapter, limit if wanted.needs_answers else 0, max_tokens)
    folder = output or Path(f"ladder-{adapter.resolve().name}")
    climbed = climb(rungs, wanted, trainer, folder, tell=lambda line: typer.echo(line, err=True))

    if as_json:
        print_json(climbed.as_dict())
    else:
        print_report(table(climbed))
    if climbed.reached is None:
        raise typer.Exit(1)

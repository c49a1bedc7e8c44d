"""`lorabay route`: routers, which choose the adapter of `model: auto`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabay.cli.options import BaseOption, JsonOption, OutputFolder, prepared_base
from lorabay.cli.output import print_json, print_report

if TYPE_CHECKING:
    from lorabay.routing.prompts import Prompt

Questions = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME=PATH...",
        help="Questions of an adapter: its training data, a folder with train.jsonl, or a .txt.",
    ),
]
General = Annotated[
    list[Path] | None,
    typer.Option("--general", help="Questions that fit no adapter, beside those that come along."),
]


def add_to(app: typer.Typer) -> None:
    """Add the group `route`."""
    group = typer.Typer(
        help="Routers, which choose the adapter of `model: auto`.", no_args_is_help=True
    )
    group.command(help="Train a router from the questions of adapters.")(train)
    group.command(help="Show where a router sends questions.")(check)
    app.add_typer(group, name="route")


def train(
    questions: Questions,
    output: OutputFolder,
    general: General = None,
    base: BaseOption = None,
) -> None:
    """Train a router and write its folder."""
    base_folder = prepared_base(base)

    from lorabay.routing.choice import BASE_CLASS
    from lorabay.routing.prompts import general_prompts, read_prompts
    from lorabay.routing.train import train_router

    prompts = [*_read(questions), *general_prompts()]
    for path in general or []:
        prompts += read_prompts(path, BASE_CLASS)
    router = train_router(prompts, base_folder)
    router.write(output)

    learnt = ", ".join(f"{count} of {name}" for name, count in router.about.questions.items())
    typer.echo(f"{output}: learnt from {learnt} questions")


def check(
    router: Annotated[Path, typer.Argument(help="Folder of a router.")],
    questions: Questions,
    base: BaseOption = None,
    wrong: Annotated[
        bool, typer.Option("--wrong", help="List the questions that went astray, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print where a router sends questions; `base=PATH` has those that fit no adapter."""
    base_folder = prepared_base(base)

    from lorabay.routing.confusion import confusion
    from lorabay.routing.router import Router

    found = confusion(Router.read(router, base_folder), _read(questions))
    if as_json:
        print_json(found.as_dict())
        return

    print_report(found.table())
    for prompt, chosen in found.wrong if wrong else ():
        typer.echo(f"{prompt.adapter} -> {chosen}: {prompt.text}")


def _read(questions: list[str]) -> list[Prompt]:
    from lorabay.routing.prompts import read_prompts, split_pair

    prompts: list[Prompt] = []
    for question in questions:
        name, path = split_pair(question)
        prompts += read_prompts(Path(path), name)
    return prompts

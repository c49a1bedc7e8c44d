"""`lorabay search`: the best recipe of a space, and the baseline that others inherit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabay.cli.options import BaseOption, JsonOption, prepared_base
from lorabay.cli.output import print_json, print_report
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from lorabay.search.asking_people import JudgeWishes


class By(StrEnum):
    """What chooses among the finalists."""

    LOSS = "loss"
    JUDGE = "judge"


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
ChosenBy = Annotated[
    By,
    typer.Option(help="What chooses among the finalists: the loss on dev, or people who judge."),
]
Judges = Annotated[
    list[str] | None,
    typer.Option("--judge", help="With --by judge: who judges; repeats. Default: one, `judge`."),
]
MostPairs = Annotated[
    int | None,
    typer.Option(min=1, help="With --by judge: pairs for each judge. Default: all."),
]
MostTokens = Annotated[
    int, typer.Option(min=1, help="With --by judge: longest answer to judge, in tokens.")
]
NamesFile = Annotated[
    Path | None,
    typer.Option("--names", help="With --by judge: names.json, if it is kept apart."),
]
Early = Annotated[
    bool, typer.Option("--early", help="With --by judge: count the votes that there are.")
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
    by: ChosenBy = By.LOSS,
    judge: Judges = None,
    pairs: MostPairs = None,
    max_tokens: MostTokens = 512,
    names: NamesFile = None,
    early: Early = False,
    as_json: JsonOption = False,
) -> None:
    """Search, and print trials, final and what came out; goes on where a kill stopped it.

    Exits with 1 while people have not judged.
    """
    from lorabay.search.libraries import check_libraries

    check_libraries()
    people = _people(by, judge, pairs, max_tokens, names, early)
    base_folder = prepared_base(base)

    from lorabay.search.asking_people import Waiting
    from lorabay.search.search import search as run_search
    from lorabay.search.workers import count_devices

    found = run_search(
        adapter,
        base_folder,
        output or Path(f"search-{adapter.resolve().name}"),
        baseline_file=baseline,
        workers=workers or max(1, count_devices()),
        judge=people,
        tell=lambda line: typer.echo(line, err=True),
    )

    if as_json:
        print_json(found.as_dict())
    else:
        print_report(found.table())
    if isinstance(found, Waiting):
        raise typer.Exit(1)


def _people(
    by: By,
    judges: list[str] | None,
    pairs: int | None,
    max_tokens: int,
    names: Path | None,
    early: bool,
) -> JudgeWishes | None:
    """Return what is wished of people who judge; None if the loss chooses."""
    if by is By.LOSS:
        if judges or pairs or names or early:
            raise UsageError("--judge, --pairs, --names and --early go with --by judge")
        return None

    from lorabay.judging.libraries import check_libraries
    from lorabay.search.asking_people import JudgeWishes

    check_libraries()
    wishes = JudgeWishes(tuple(judges or ()), pairs, max_tokens, names, early)
    # Before hours of training.
    wishes.check()
    return wishes

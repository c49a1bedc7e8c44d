"""`lorabay evaluate`: how good the base and adapters are on data that they have not learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import BaseOption, JsonOption, prepared_base
from lorabay.cli.output import print_json, print_report
from lorabay.errors import SetupError

Adapters = Annotated[
    list[Path], typer.Argument(help="Folders of adapters, such as adapters/finance.")
]
Limit = Annotated[
    int | None,
    typer.Option(min=0, help="Answer only the first N questions of each set. Default: all."),
]
MaxTokens = Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")]
Draws = Annotated[
    int, typer.Option(min=100, help="Draws of the bootstrap, for intervals and tests.")
]
GeneralFile = Annotated[
    Path | None,
    typer.Option(help="General questions, to see what was forgotten. Default: lorabay's own."),
]
NoGeneral = Annotated[bool, typer.Option("--no-general", help="Leave general questions out.")]
Page = Annotated[
    Path | None,
    typer.Option("--html", help="Write a page with the answers side by side; must not be there."),
]
Url = Annotated[
    str | None,
    typer.Option(help="Ask a running server, as in http://127.0.0.1:8000. Default: run here."),
]
ApiKey = Annotated[
    str | None, typer.Option(envvar="LORABAY_API_KEY", help="Key that requests are sent with.")
]
Parallel = Annotated[int, typer.Option(min=1, help="Requests at a time, with --url.")]


def add_to(app: typer.Typer) -> None:
    """Add the command `evaluate`."""
    app.command(
        help="Measure the base and adapters on the held-out data of every adapter, and on general "
        "questions."
    )(evaluate)


def evaluate(
    adapters: Adapters,
    base: BaseOption = None,
    limit: Limit = None,
    max_tokens: MaxTokens = 256,
    general: GeneralFile = None,
    no_general: NoGeneral = False,
    draws: Draws = 1000,
    url: Url = None,
    api_key: ApiKey = None,
    parallel: Parallel = 8,
    html: Page = None,
    as_json: JsonOption = False,
) -> None:
    """Print the figures of the base and each adapter, with intervals and tests of differences."""
    if html is not None and html.exists():
        raise SetupError(f"{html} is there already; choose another file")
    base_folder = prepared_base(base)

    from lorabay.evaluation.evaluate import Settings, evaluate as run_evaluation
    from lorabay.evaluation.page import write_page
    from lorabay.evaluation.served import Endpoint
    from lorabay.evaluation.tables import tables

    evaluation = run_evaluation(
        adapters,
        base_folder,
        with_general=not no_general,
        general_file=general,
        settings=Settings(limit, max_tokens, draws),
        endpoint=None if url is None else Endpoint(url, api_key, parallel),
    )

    if html is not None:
        write_page(evaluation, html)
    if as_json:
        print_json(evaluation.as_dict())
    else:
        print_report(tables(evaluation))

"""`lorabay judge`: people compare answers without knowing whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import JsonOption, OutputFolder
from lorabay.cli.output import print_json, print_report
from lorabay.errors import SetupError, UsageError

AnswerFiles = Annotated[
    list[str] | None,
    typer.Argument(help="Answers: JSON of `lorabay evaluate`, or JSON lines; FILE or NAME=FILE."),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="A set of the files to compare; repeats.")
]
Judges = Annotated[
    list[str] | None, typer.Option("--judge", help="Who judges; repeats. Default: one, `judge`.")
]
Asked = Annotated[
    list[str] | None,
    typer.Option("--ask", help="A served adapter, or the base, to ask for answers; repeats."),
]
ServerUrl = Annotated[str, typer.Option(help="Server that --ask asks; speaks OpenAI's API.")]
ApiKey = Annotated[str | None, typer.Option(envvar="LORABAY_API_KEY", help="Key for that server.")]
QuestionsFile = Annotated[
    Path | None,
    typer.Option(help="Examples whose questions are asked. Default: those of the files."),
]
MostTokens = Annotated[int, typer.Option(min=1, help="Longest answer to --ask, in tokens.")]
MostPairs = Annotated[
    int | None, typer.Option(min=1, help="Pairs for each judge, drawn by chance. Default: all.")
]
Seed = Annotated[int | None, typer.Option(help="Deals aliases, orders and sides. Default: chance.")]
BlindFolder = Annotated[Path, typer.Argument(help="Folder that `lorabay judge make` wrote.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")]
PublicUrl = Annotated[
    str | None, typer.Option(help="How judges reach the page, if not by host and port.")
]
NamesFile = Annotated[
    Path | None, typer.Option("--names", help="names.json, if it is kept apart from the folder.")
]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Also write the report as a page.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands `judge ...`."""
    group = typer.Typer(no_args_is_help=True, help="People compare answers, blind.")
    group.command("make", help="Make a blind set of two or more sets of answers.")(make)
    group.command("serve", help="Show it in a browser, and keep the votes.")(serve)
    group.command("report", help="Say who won, and what may be noise.")(report)
    app.add_typer(group, name="judge")


def make(
    output: OutputFolder,
    answers: AnswerFiles = None,
    only: Only = None,
    judge: Judges = None,
    ask: Asked = None,
    url: ServerUrl = "http://127.0.0.1:8000",
    api_key: ApiKey = None,
    questions: QuestionsFile = None,
    max_tokens: MostTokens = 512,
    pairs: MostPairs = None,
    seed: Seed = None,
    as_json: JsonOption = False,
) -> None:
    """Write pairs of answers, a sheet for each judge, and apart from them, the names."""
    from lorabay.judging.answers import read_answer_sets, read_questions
    from lorabay.judging.making import make_blind_set

    sets = read_answer_sets(answers or [], only or [])
    if ask:
        from lorabay.judging.asking import Place, ask_adapters

        asked = list(dict.fromkeys(question for one in sets for question in one.answers))
        if questions is not None:
            asked = read_questions(questions)
        if not asked:
            raise UsageError("--ask needs questions: --questions FILE, or a file of answers")
        sets += ask_adapters(Place(url, api_key, max_tokens), ask, asked)

    made = make_blind_set(sets, judge or ["judge"], output, most_pairs=pairs, seed=seed)

    if as_json:
        print_json(made.as_dict())
    else:
        print_report(made.table())


def serve(
    folder: BlindFolder,
    host: Host = "127.0.0.1",
    port: Port = 8010,
    public_url: PublicUrl = None,
) -> None:
    """Print a link for each judge, and serve the page until Ctrl+C."""
    from lorabay.judging.site.server import serve_blind_set

    serve_blind_set(folder, host, port, public_url, typer.echo)


def report(
    folder: BlindFolder,
    names: NamesFile = None,
    html: HtmlFile = None,
    as_json: JsonOption = False,
) -> None:
    """Print win rates, agreement and strengths."""
    from lorabay.judging.reporting.page import write_page
    from lorabay.judging.reporting.report import report_of

    if html is not None and html.exists():
        raise SetupError(f"{html} is there already; choose another file")
    found = report_of(folder, names)
    if html is not None:
        write_page(found, html)

    if as_json:
        print_json(found.as_dict())
    else:
        print_report(found.table())

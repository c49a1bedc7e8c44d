"""`lorabay data`: examples to learn from, made of what a company has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabay.cli.options import JsonOption, OutputFolder, prepared_base
from lorabay.cli.output import print_json, print_report
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.deidentify.wishes import DeidentifyWishes

_MIB = 1 << 20
_MOST_SEED = (1 << 63) - 1

Inputs = Annotated[
    list[Path],
    typer.Argument(help="Files, or folders of files: JSON lines, JSON, CSV, Parquet, chats."),
]
FileType = Annotated[
    str | None,
    typer.Option(help="jsonl, json, csv, parquet or transcript. Default: as found."),
]
LayoutName = Annotated[
    str | None,
    typer.Option(help="messages, sharegpt, alpaca or pairs. Default: as found."),
]
FieldNames = Annotated[
    str,
    typer.Option(
        help="Fields of pairs, as in instruction=question,output=reply; also input, system."
    ),
]
Languages = Annotated[
    str | None,
    typer.Option(help="Languages to keep, as in zh,en. Default: all."),
]
MostChars = Annotated[int, typer.Option(min=1, help="Longest example, in characters.")]
LongestLine = Annotated[
    int,
    typer.Option(min=1, max=1 << 20, help="Longest line or value that is read, in Mi characters."),
]
OwnPatterns = Annotated[
    Path | None,
    typer.Option(help="File of regular expressions for lines that go, besides the built-in."),
]
SkippedSteps = Annotated[
    list[str] | None, typer.Option(help="A step of cleaning to leave out; repeats.")
]
Similarity = Annotated[
    float, typer.Option(help="Jaccard similarity from which a row is a near duplicate.")
]
ClusterSimilarity = Annotated[
    float, typer.Option(help="Similarity from which rows are in the same part.")
]
SplitBy = Annotated[
    str,
    typer.Option(help="cluster, time, customer, or parts: those that the names of the files say."),
]
DevShare = Annotated[float, typer.Option(help="Share of the rows for dev.")]
TestShare = Annotated[float, typer.Option(help="Share of the rows for test.")]
TimeField = Annotated[
    str | None, typer.Option(help="Field of the time: ISO 8601, or seconds since 1970.")
]
CustomerField = Annotated[
    str | None, typer.Option(help="Field that tells one customer from another.")
]
Seed = Annotated[int, typer.Option(min=0, max=_MOST_SEED, help="Another number is another split.")]
TemplateBase = Annotated[
    str | None,
    typer.Option(help="Base whose chat template is tried on every row. Default: none is."),
]
MostTokens = Annotated[
    int | None, typer.Option(min=1, help="With --base: longest example, in tokens.")
]
SystemChoice = Annotated[
    str, typer.Option(help="System messages: keep, move (into the first question) or drop.")
]

Deidentify = Annotated[
    str | None,
    typer.Option(help="Replace personal data by surrogates or tags. Default: it stays."),
]
ReplacedBy = Annotated[
    str, typer.Option("--by", help="surrogates, which need a key, or tags such as [NAME].")
]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="File of the key for surrogates. Default: what DEIDENTIFY_KEY holds."),
]
OwnRecognisers = Annotated[
    Path | None, typer.Option(help="TOML file of recognisers besides the built-in.")
]
KeptKinds = Annotated[
    list[str] | None, typer.Option(help="A kind of personal data that stays; repeats.")
]
NewFolder = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder to write; must not be there, or be empty."),
]
OnlyReport = Annotated[
    bool, typer.Option("--report", help="Count what would be replaced, and write nothing.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands `data ...`."""
    group = typer.Typer(no_args_is_help=True, help="Examples to learn from.")
    group.command("prepare", help="Read, clean, find duplicates, and split into parts.")(prepare)
    group.command("deidentify", help="Replace what people can be known by, and nothing else.")(
        deidentify
    )
    app.add_typer(group, name="data")


def prepare(
    inputs: Inputs,
    output: OutputFolder,
    file_type: FileType = None,
    layout: LayoutName = None,
    fields: FieldNames = "",
    language: Languages = None,
    max_chars: MostChars = 16_000,
    max_line_mib: LongestLine = 8,
    boilerplate: OwnPatterns = None,
    skip: SkippedSteps = None,
    similarity: Similarity = 0.8,
    cluster_similarity: ClusterSimilarity = 0.6,
    split_by: SplitBy = "cluster",
    dev: DevShare = 0.05,
    test: TestShare = 0.05,
    time_field: TimeField = None,
    customer_field: CustomerField = None,
    seed: Seed = 0,
    base: TemplateBase = None,
    max_tokens: MostTokens = None,
    system: SystemChoice = "keep",
    deidentify: Deidentify = None,
    key_file: KeyFile = None,
    recognisers: OwnRecognisers = None,
    keep: KeptKinds = None,
    as_json: JsonOption = False,
) -> None:
    """Write train, dev and test, and a report with every row that was removed or changed."""
    from lorabay.data.libraries import check_libraries

    # Before a base is prepared, and before the modules that need them.
    check_libraries()

    from lorabay.data.cleaning.cleaner import CleaningWishes
    from lorabay.data.inputs import InputWishes
    from lorabay.data.layouts.pairs import names_of
    from lorabay.data.prepare import PrepareWishes, prepare as run_preparation
    from lorabay.data.splitting import SplitWishes
    from lorabay.data.system_message import SystemMessage

    wishes = PrepareWishes(
        inputs=InputWishes(file_type, layout, names_of(fields), max_line_mib * _MIB),
        cleaning=CleaningWishes(max_chars, language, boilerplate, frozenset(skip or ())),
        split=SplitWishes(split_by, dev, test, seed, time_field, customer_field),
        similarity=similarity,
        cluster_similarity=cluster_similarity,
        system=SystemMessage(system),
        base=None if base is None else prepared_base(base),
        max_tokens=max_tokens,
        deidentify=None
        if deidentify is None
        else _deidentify_wishes(deidentify, key_file, recognisers, keep, [*inputs, output]),
    )
    report = run_preparation(inputs, output, wishes)

    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report.table())


def deidentify(
    inputs: Inputs,
    output: NewFolder = None,
    by: ReplacedBy = "surrogates",
    key_file: KeyFile = None,
    recognisers: OwnRecognisers = None,
    keep: KeptKinds = None,
    report: OnlyReport = False,
    file_type: FileType = None,
    layout: LayoutName = None,
    fields: FieldNames = "",
    max_line_mib: LongestLine = 8,
    as_json: JsonOption = False,
) -> None:
    """Write each file without personal data, and how many of each kind there were."""
    from lorabay.data.libraries import check_libraries

    check_libraries()

    from lorabay.data.deidentify.files import FileWishes, count, deidentify as run
    from lorabay.data.inputs import InputWishes
    from lorabay.data.layouts.pairs import names_of

    if (output is None) != report:
        raise UsageError("name a folder to write with -o, or take --report, which writes nothing")

    places = [*inputs, *([output] if output is not None else [])]
    wishes = FileWishes(
        InputWishes(file_type, layout, names_of(fields), max_line_mib * _MIB),
        _deidentify_wishes("tags" if report else by, key_file, recognisers, keep, places),
    )
    found = count(inputs, wishes) if output is None else run(inputs, output, wishes)

    if as_json:
        print_json(found.as_dict())
    else:
        print_report(found.table())


def _deidentify_wishes(
    by: str,
    key_file: Path | None,
    recognisers: Path | None,
    keep: list[str] | None,
    places: Sequence[Path],
) -> DeidentifyWishes:
    from lorabay.data.deidentify.keys import read_key
    from lorabay.data.deidentify.wishes import DeidentifyWishes, check_choice

    check_choice(by)
    key = None if by == "tags" else read_key(key_file, os.environ, places)
    return DeidentifyWishes(by, key, recognisers, frozenset(keep or ()))

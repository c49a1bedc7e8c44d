"""`lorabay check`, `convert`, `combine` and `inspect`: tools for adapters, without a server."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import (
    AdapterDirectory,
    AdapterName,
    AllowPickleOption,
    BaseOption,
    InitialOption,
    JsonOption,
    OutputFolder,
    ResidualOption,
    StoreOption,
    directory,
    places,
    prepared_base,
)
from lorabay.cli.output import print_json, print_report
from lorabay.settings import load_settings


def add_check(app: typer.Typer) -> None:
    """Add the command `check`, which help lists before `merge`."""
    app.command(
        help="Say whether folders hold adapters that the base can serve, with every reason if not."
    )(check)


def add_to(app: typer.Typer) -> None:
    """Add the commands `convert`, `combine` and `inspect`."""
    app.command(help="Turn an adapter of any format into plain LoRA, or LoRA into a smaller rank.")(
        convert
    )
    app.command(help="Build a composite adapter (composite.toml) into one plain LoRA adapter.")(
        combine
    )
    app.command(
        "inspect", help="Show what an adapter is, changes and needs; or what differs between two."
    )(inspect_adapter)


def check(
    folders: Annotated[list[Path], typer.Argument(help="Folders of adapters.")],
    base: BaseOption = None,
    max_rank: Annotated[
        int | None,
        typer.Option(help="The engine's max_lora_rank. Default: that of --engine, else 512."),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(help="An engine option of the server, as NAME=VALUE; repeats."),
    ] = None,
    ask_engine: Annotated[
        bool,
        typer.Option(
            help="Ask vLLM which modules it adapts, which takes some seconds the first time."
        ),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Print a verdict for each folder; exit with 1 unless all are servable."""
    settings = load_settings({} if engine is None else {"engine": engine})
    options = settings.engine

    from lorabay.server.user_options import target_modules, whole_number
    from lorabay.serving.adapted import ask_engine as ask, do_not_ask, has_engine
    from lorabay.serving.machine_defaults import adapts_experts, scales_outputs
    from lorabay.tools.check import check as run_check, render

    folder = prepared_base(base)
    scales = takes_experts = True
    if ask_engine and has_engine():
        scales = scales_outputs(dict(os.environ), options, dora=settings.dora)
        takes_experts = adapts_experts()

    verdicts = run_check(
        folders,
        folder,
        max_rank=max_rank or whole_number(options, "max_lora_rank", default=512),
        ask=partial(ask, folder, options) if ask_engine else do_not_ask,
        target_modules=target_modules(options),
        scales_outputs=scales,
        adapts_experts=takes_experts,
        refuse_foreign_base=settings.refuse_foreign_base,
        approximate_error=settings.approximate_error,
        allowed_roots=settings.allowed_roots,
    )

    if as_json:
        print_json([verdict.as_dict() for verdict in verdicts])
    else:
        print_report(render(verdicts))

    if not all(verdict.servable for verdict in verdicts):
        raise typer.Exit(1)


def convert(
    adapter: AdapterName,
    output: OutputFolder,
    base: BaseOption = None,
    adapters: AdapterDirectory = None,
    store: StoreOption = None,
    rank: Annotated[
        int | None,
        typer.Option(min=1, help="Largest rank of a module. Default: what exactness needs."),
    ] = None,
    energy: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of each module's squared norm to keep."),
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Largest relative error in total. Default: 0.1, or what --energy gives up.",
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    initial: InitialOption = None,
    residual_base: ResidualOption = False,
    allow_pickle: AllowPickleOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the adapter as plain LoRA and print the error of each module."""
    where = places(adapters, store)

    from lorabay.tools.convert import ConvertSettings, convert as run_conversion
    from lorabay.tools.find_adapter import find_adapter

    settings = ConvertSettings(rank, energy, max_error, dtype, initial, residual_base, allow_pickle)
    with find_adapter(adapter, directory(where), where.store) as source:
        report = run_conversion(source.folder, prepared_base(base), output, settings)

    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report.table())


def combine(
    composite: Annotated[Path, typer.Argument(help="Folder with a composite.toml.")],
    output: OutputFolder,
    base: BaseOption = None,
    allowed_root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder that members may lie in, besides the composite's own; repeats."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the composite as one plain LoRA adapter."""
    from lorabay.tools.combine import combine as run_combination

    roots = allowed_root or ()
    report = run_combination(composite, prepared_base(base), output, roots=roots)

    if as_json:
        print_json(report.as_dict())
    else:
        typer.echo(report.describe())


def inspect_adapter(
    adapter: AdapterName,
    other: Annotated[
        str | None, typer.Argument(help="Another adapter, to say what differs.")
    ] = None,
    base: BaseOption = None,
    adapters: AdapterDirectory = None,
    store: StoreOption = None,
    plot: Annotated[
        Path | None, typer.Option(help="PNG file for a heat map of ADAPTER, layer by module.")
    ] = None,
    initial: InitialOption = None,
    residual_base: ResidualOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print what one adapter is, or what differs between two."""
    where = places(adapters, store)

    from lorabay.tools.inspection.command import InspectSettings, run_inspect
    from lorabay.tools.inspection.heat_map import check_plot

    # Before a base is prepared: that may take a minute, and the plot may be impossible.
    if plot is not None:
        check_plot(plot)

    settings = InspectSettings(
        adapter=adapter,
        base=prepared_base(base),
        adapters=directory(where),
        store=where.store,
        other=other,
        plot=plot,
        initial=initial,
        residual_base=residual_base,
    )
    report = run_inspect(settings)

    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report.render())

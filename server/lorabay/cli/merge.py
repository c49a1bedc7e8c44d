"""`lorabay merge`: an adapter folded into standalone weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lorabay.cli.options import (
    AdapterDirectory,
    AdapterName,
    AllowPickleOption,
    BaseOption,
    JsonOption,
    StoreOption,
    directory,
    places,
    prepared_base,
)
from lorabay.cli.output import print_json, print_report


def add_to(app: typer.Typer) -> None:
    """Add the command `merge`."""
    app.command(help="Fold an adapter into the base: a standalone model, verified.")(merge)


def merge(
    adapter: AdapterName,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the merged model.")],
    base: BaseOption = None,
    dtype: Annotated[
        str | None, typer.Option(help="bfloat16, float16 or float32. Default: the base's.")
    ] = None,
    float64: Annotated[
        bool, typer.Option("--float64", help="Compute in float64 instead of float32.")
    ] = False,
    max_shard_size: Annotated[
        str | None, typer.Option(help="As in 2GB. Default: files as the base has them.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier merge.")
    ] = False,
    verify: Annotated[
        bool, typer.Option(help="Hold the result against base and adapter in PEFT.")
    ] = True,
    prompts: Annotated[
        Path | None, typer.Option(help="More prompts to verify with, one a line.")
    ] = None,
    allow_pickle: AllowPickleOption = False,
    initial: Annotated[
        Path | None, typer.Option(help="The adapter as initialised (PiSSA, OLoRA, CorDA).")
    ] = None,
    residual_base: Annotated[
        bool, typer.Option("--residual-base", help="The base is what that initialisation left.")
    ] = False,
    adapters: AdapterDirectory = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the merged model, verify it, and print what changed."""
    # NumPy's own threads would compete with the merge's; NumPy reads this when it is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    where = places(adapters, store)

    from lorabay.merge.job import MergeSettings, parse_size
    from lorabay.merge.run import merge as run_merge

    settings = MergeSettings(
        adapter=adapter,
        output=output,
        base=prepared_base(base),
        adapters=directory(where),
        store=where.store,
        dtype=dtype,
        float64=float64,
        max_shard_bytes=None if max_shard_size is None else parse_size(max_shard_size),
        overwrite=overwrite,
        verify=verify,
        prompts=prompts,
        allow_pickle=allow_pickle,
        initial=initial,
        residual_base=residual_base,
    )
    report = run_merge(settings)

    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report.render())

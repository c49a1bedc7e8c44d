"""`lorabay bench`: a server or a tool, measured against what it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lorabay.cli.options import BaseOption, JsonOption, name_and_value, prepared_base

SCENARIO_HELP = (
    "`load`, `gateway` and `latency` (against vLLM's own server), `start`, `swap`; `many` and "
    "`scrape` (1000 adapters); what adapters cost: `adapters`, `stall`, `memory`; offline: "
    "`merge`, `convert`, `strategies`; without an engine: `slots`, `placement` (a simulated "
    "cluster); on a GPU: `tune` (LoRA kernels)."
)
ADAPTER_DIRECTORY = Path("adapters")

Count = Annotated[
    int, typer.Option(help="Adapters that `many` and `scrape` make, or `placement` simulates.")
]
Replicas = Annotated[int, typer.Option(help="Replicas that `placement` simulates.")]
Slots = Annotated[int, typer.Option(help="Adapters that each of them has room for.")]
Traces = Annotated[
    list[str] | None,
    typer.Option("--trace", help="Traces that `placement` replays; repeats. Default: all."),
]
Output = Annotated[
    Path | None, typer.Option(help="Folder for `tune`'s files (lora-kernels), or for plots.")
]
Litellm = Annotated[
    Path | None, typer.Option(help="LiteLLM's program, for `latency` to compare with.")
]
SizeGb = Annotated[
    float, typer.Option(help="Size of the model that `merge` and `convert` make, in GB.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command `bench`."""
    app.command(
        help="Measure a server: tokens a second, time to first token, inter-token latency."
    )(bench)


def bench(
    scenario: Annotated[str, typer.Argument(help=SCENARIO_HELP)] = "load",
    url: Annotated[str | None, typer.Option(help="A running server; default: start one.")] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="LORABAY_API_KEY", help="Key that requests are sent with.")
    ] = None,
    base: BaseOption = None,
    adapters: Annotated[
        Path, typer.Option(help="Adapter directory of started servers.")
    ] = ADAPTER_DIRECTORY,
    model: Annotated[
        list[str] | None, typer.Option(help="Ask these in turn; default: base and all adapters.")
    ] = None,
    concurrency: Annotated[
        list[int] | None, typer.Option(help="Streams at a time; repeats. Default: 8 and 32.")
    ] = None,
    prompt_tokens: int = 32,
    output_tokens: int = 64,
    requests: Annotated[
        int | None, typer.Option(help="Requests of one run. Default: one a stream.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Turns of each side. Default: the scenario's own.")
    ] = None,
    count: Count = 1000,
    replicas: Replicas = 8,
    slots: Slots = 32,
    traces: Traces = None,
    size_gb: SizeGb = 2.0,
    engine: Annotated[
        list[str] | None, typer.Option(help="vLLM engine option NAME=VALUE; repeats.")
    ] = None,
    output: Output = None,
    litellm: Litellm = None,
    as_json: JsonOption = False,
) -> None:
    """Run one scenario and print its findings; exit with 1 when a bar is missed."""
    from lorabay.bench import (
        OWN_MODEL,
        BarProgress,
        BenchSettings,
        render,
        run_bench,
        to_json,
    )

    # A running server has its own base and adapters; offline scenarios make theirs.
    needs_base = not url and scenario not in OWN_MODEL
    settings = BenchSettings(
        scenario=scenario,
        url=url,
        api_key=api_key,
        base=str(prepared_base(base)) if needs_base else None,
        adapters=None if url else adapters,
        output=output,
        litellm=litellm,
        models=tuple(model or ()),
        concurrency=tuple(concurrency or (8, 32)),
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        requests=requests,
        rounds=rounds,
        adapter_count=count,
        replicas=replicas,
        slots=slots,
        traces=tuple(traces or ()),
        size_gb=size_gb,
        engine=dict(name_and_value(option) for option in engine or ()),
    )

    with BarProgress(Console(stderr=True)) as progress:
        report = run_bench(settings, progress)

    if as_json:
        typer.echo(to_json(report))
    else:
        Console().print(render(report))

    if not report.passed:
        raise typer.Exit(1)

"""The `lorabay` command: one thin function a command, and the one place where a failure becomes an
exit code.

Exit codes: 0 ok, 1 expected failure, 2 usage, 3 bug, 130 interrupted. Heavy modules are imported
inside commands, so that `--help` answers at once.
"""

from __future__ import annotations

import inspect
import io
import json
import os
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.markup import escape

from lorabay.errors import LorabayError, UsageError
from lorabay.settings import GROUPS, Settings, load_settings

EXIT_BUG, EXIT_INTERRUPTED = 3, 130

app = typer.Typer(
    name="lorabay",
    help="One frozen base model in vLLM, many hot-swapped LoRA adapters, one OpenAI-compatible server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
base_app = typer.Typer(help="The default base model.", no_args_is_help=True)
app.add_typer(base_app, name="base")

AdapterFolder = Annotated[
    Path, typer.Argument(help="Folder of one adapter, such as adapters/finance.")
]
BaseOption = Annotated[
    str | None, typer.Option("--base", help="Base model. Default: the prepared one.")
]
AdapterName = Annotated[
    str, typer.Argument(help="Folder, name in the adapter directory, or NAME@DIGEST in the store.")
]
AdapterDirectory = Annotated[
    Path | None, typer.Option("--adapters", help="Adapter directory. Default: as for `serve`.")
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Store. Default: as for `serve`.")
]
OutputFolder = Annotated[
    Path, typer.Option("--output", "-o", help="Folder to write; must not be there, or be empty.")
]
InitialOption = Annotated[
    Path | None,
    typer.Option("--initial", help="The adapter as initialised, for PiSSA, OLoRA and CorDA."),
]
ResidualOption = Annotated[
    bool,
    typer.Option(
        "--residual-base", help="The base is what the adapter's initialisation left of it."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Run the command line and exit with its code."""
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # a terminal may know neither Δ nor every letter of a folder's name
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; gives its exit code. Every failure ends here as one line on stderr."""
    try:
        app(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except LorabayError as failure:
        _complain(failure.message)
        return failure.exit_code
    except Exception:
        Console(stderr=True).print_exception()
        _complain("this is a bug in lorabay")
        return EXIT_BUG
    return 0


def _complain(message: str) -> None:
    Console(stderr=True, soft_wrap=True).print(
        f"[bold red]error:[/] {escape(message)}", highlight=False
    )


def _flag_type(annotation: Any) -> Any:
    """A mapping is given as a repeated NAME=VALUE; everything else is text that the settings
    parse.
    """
    return list[str] | None if typing.get_origin(annotation) is dict else str | None


def _with_setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each setting; those that the user gave arrive as keyword
    arguments.
    """
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                _flag_type(field.annotation),
                typer.Option(
                    f"--{name.replace('_', '-')}", help=field.description, show_default=False
                ),
            ],
        )
        for group in GROUPS
        for name, field in group.model_fields.items()
    ]
    config = inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            Path | None, typer.Option("--config", help="YAML file of settings.", show_default=False)
        ],
    )
    parameters.append(config)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


@app.command(help="Serve the base and its adapters.")
@_with_setting_flags
def serve(config: Path | None = None, **flags: Any) -> None:
    settings = load_settings(
        {name: value for name, value in flags.items() if value is not None}, config=config
    )
    from lorabay.server import serve as run_server

    run_server(settings)


@base_app.command(help="Prepare the default base model; the folder is the last line printed.")
def prepare() -> None:
    typer.echo(_prepared_base(None))


@app.command(help="Train an adapter from its recipe.")
def train(adapter: AdapterFolder, base: BaseOption = None, output: Path | None = None) -> None:
    base_folder = _prepared_base(base)
    from lorabay.training.train import train as run_training

    report = run_training(adapter, base_folder, output=output)
    typer.echo(report.describe())


@app.command(help="Measure the base and adapters on the held-out data of every adapter.")
def evaluate(
    adapters: list[Path],
    base: BaseOption = None,
    limit: int | None = None,
    as_json: JsonOption = False,
) -> None:
    base_folder = _prepared_base(base)
    from lorabay.training.evaluate import evaluate as run_evaluation

    evaluation = run_evaluation(adapters, base_folder, limit=limit)
    if as_json:
        typer.echo(json.dumps(evaluation.as_dict(), indent=2))
    else:
        _show(evaluation.table())


@app.command(
    help="Say whether folders hold adapters that the base can serve, with every reason if not."
)
def check(
    folders: Annotated[list[Path], typer.Argument(help="Folders of adapters.")],
    base: BaseOption = None,
    max_rank: Annotated[int, typer.Option(help="The engine's max_lora_rank.")] = 512,
    as_json: JsonOption = False,
) -> None:
    from lorabay.tools.check import check as run_check, render

    verdicts = run_check(folders, _prepared_base(base), max_rank=max_rank)
    if as_json:
        typer.echo(json.dumps([verdict.as_dict() for verdict in verdicts], indent=2))
    else:
        _show(render(verdicts))
    if not all(verdict.servable for verdict in verdicts):
        raise typer.Exit(1)


@app.command(help="Fold an adapter into the base: a standalone model, verified.")
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
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Read pickled weights, without code.")
    ] = False,
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
    # NumPy's own threads would stand in the way of ours; it reads this when it is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    places = _places(adapters, store)
    from lorabay.merge.command import merge as run_merge
    from lorabay.merge.inputs import MergeSettings, parse_size

    settings = MergeSettings(
        adapter=adapter,
        output=output,
        base=_prepared_base(base),
        adapters=places.adapters,
        store=places.store,
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
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _show(report.render())


@app.command(help="Turn an adapter of any format into plain LoRA, or LoRA into a smaller rank.")
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
    as_json: JsonOption = False,
) -> None:
    places = _places(adapters, store)
    from lorabay.tools.convert import ConvertSettings, convert as run_conversion
    from lorabay.tools.find_adapter import find_adapter

    settings = ConvertSettings(rank, energy, max_error, dtype, initial, residual_base)
    with find_adapter(adapter, places.adapters, places.store) as found:
        report = run_conversion(found.folder, _prepared_base(base), output, settings)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _show(report.table())


@app.command(help="Build a composite adapter (composite.toml) into one plain LoRA adapter.")
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
    from lorabay.tools.combine import combine as run_combination

    report = run_combination(composite, _prepared_base(base), output, roots=allowed_root or ())
    typer.echo(json.dumps(report.as_dict(), indent=2) if as_json else report.describe())


@app.command(
    "inspect", help="Show what an adapter is, changes and needs; or what differs between two."
)
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
    places = _places(adapters, store)
    from lorabay.tools.inspection.command import InspectSettings, run_inspect
    from lorabay.tools.inspection.heat_map import check_plot

    if plot is not None:  # before a base is prepared for it
        check_plot(plot)
    settings = InspectSettings(
        adapter,
        _prepared_base(base),
        places.adapters,
        places.store,
        other,
        plot,
        initial,
        residual_base,
    )
    report = run_inspect(settings)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _show(report.render())


@app.command(help="Measure a server: tokens a second, time to first token, inter-token latency.")
def bench(
    scenario: Annotated[
        str,
        typer.Argument(
            help="`load`, `gateway` (against vLLM's own server), `start`, `swap`, `many` (1000 adapters); what "
            "adapters cost: `adapters`, `stall`, `memory`; offline: `merge`, `convert`, `strategies`."
        ),
    ] = "load",
    url: Annotated[str | None, typer.Option(help="A running server; default: start one.")] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="LORABAY_API_KEY", help="Key of a running server.")
    ] = None,
    base: BaseOption = None,
    adapters: Annotated[Path, typer.Option(help="Adapter directory of started servers.")] = Path(
        "adapters"
    ),
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
    size_gb: Annotated[
        float, typer.Option(help="Size of the model that `merge` and `convert` make, in GB.")
    ] = 2.0,
    engine: Annotated[
        list[str] | None, typer.Option(help="vLLM engine option NAME=VALUE; repeats.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    from lorabay.bench import BarProgress, BenchSettings, render, run_bench, to_json

    settings = BenchSettings(
        scenario=scenario,
        url=url,
        api_key=api_key,
        base=None if url or scenario in {"merge", "convert"} else str(_prepared_base(base)),
        adapters=None if url else adapters,
        models=tuple(model or ()),
        concurrency=tuple(concurrency or (8, 32)),
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        requests=requests,
        rounds=rounds,
        size_gb=size_gb,
        engine=dict(_name_and_value(option) for option in engine or ()),
    )
    with BarProgress(Console(stderr=True)) as progress:
        report = run_bench(settings, progress)
    if as_json:
        typer.echo(to_json(report))
    else:
        Console().print(render(report))
    if not report.passed:
        raise typer.Exit(1)


def _places(adapters: Path | None, store: Path | None) -> Settings:
    """Where names are looked up; what no flag says is said by the same settings as for `serve`."""
    return load_settings(
        {name: path for name, path in (("adapters", adapters), ("store", store)) if path}
    )


def _show(report: RenderableType) -> None:
    """On stdout, as it is: brackets and colons in the names of folders and modules mean
    themselves.
    """
    Console(markup=False, emoji=False).print(report)


def _name_and_value(option: str) -> tuple[str, str]:
    name, equals, value = option.partition("=")
    if not equals:
        raise UsageError(f"--engine {option!r} is not NAME=VALUE")
    return name, value


def _prepared_base(base: str | None) -> Path:
    from lorabay.base.default import cache_folder, prepare as prepare_base

    return Path(base) if base is not None else prepare_base(cache_folder())

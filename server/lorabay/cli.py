"""The `lorabay` command: one thin function a command, and the one place where a failure becomes an exit code.

Exit codes: 0 ok, 1 expected failure, 2 usage, 3 bug, 130 interrupted. Heavy modules are imported inside commands, so
that `--help` answers at once.
"""

from __future__ import annotations

import inspect
import json
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from lorabay.errors import LorabayError
from lorabay.settings import GROUPS, load_settings

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

AdapterFolder = Annotated[Path, typer.Argument(help="Folder of one adapter, such as adapters/finance.")]
BaseOption = Annotated[str | None, typer.Option("--base", help="Base model. Default: the prepared one.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; gives its exit code. Every failure ends here as one line on stderr."""
    try:
        app(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
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
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(message)}", highlight=False)


def _flag_type(annotation: Any) -> Any:
    """A mapping is given as a repeated NAME=VALUE; everything else is text that the settings parse."""
    return list[str] | None if typing.get_origin(annotation) is dict else str | None


def _with_setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each setting; those that the user gave arrive as keyword arguments."""
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                _flag_type(field.annotation),
                typer.Option(f"--{name.replace('_', '-')}", help=field.description, show_default=False),
            ],
        )
        for group in GROUPS
        for name, field in group.model_fields.items()
    ]
    config = inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[Path | None, typer.Option("--config", help="YAML file of settings.", show_default=False)],
    )
    parameters.append(config)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


@app.command(help="Serve the base and its adapters.")
@_with_setting_flags
def serve(config: Path | None = None, **flags: Any) -> None:
    settings = load_settings({name: value for name, value in flags.items() if value is not None}, config=config)
    from lorabay.api.server import serve as run_server

    run_server(settings)


@base_app.command(help="Prepare the default base model; the folder is the last line printed.")
def prepare() -> None:
    typer.echo(_prepared_base(None))


@app.command(help="Train an adapter from its recipe.")
def train(adapter: AdapterFolder, base: BaseOption = None, output: Path | None = None) -> None:
    base_folder = _prepared_base(base)
    from lorabay.offline.train import train as run_training

    report = run_training(adapter, base_folder, output=output)
    typer.echo(report.describe())


@app.command(help="Measure the base and adapters on the held-out data of every adapter.")
def evaluate(
    adapters: list[Path], base: BaseOption = None, limit: int | None = None, as_json: JsonOption = False
) -> None:
    base_folder = _prepared_base(base)
    from lorabay.offline.evaluate import evaluate as run_evaluation

    evaluation = run_evaluation(adapters, base_folder, limit=limit)
    if as_json:
        typer.echo(json.dumps(evaluation.as_dict(), indent=2))
    else:
        Console().print(evaluation.table())


def _prepared_base(base: str | None) -> Path:
    from lorabay.offline.base_model import cache_folder, prepare as prepare_base

    return Path(base) if base is not None else prepare_base(cache_folder())

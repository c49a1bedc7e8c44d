"""The command line as a whole, and the one place where a failure becomes an exit code.

Exit codes: 0 success, 1 expected failure, 2 wrong usage, 3 bug, 130 interrupted. Commands know
nothing of exit codes: they return, or they raise.
"""

from __future__ import annotations

import io
import logging
import sys
from importlib import metadata
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lorabay.cli import (
    adapters,
    advise,
    audit,
    base,
    bench,
    data,
    database,
    evaluation,
    judge,
    keys,
    ladder,
    limits,
    merge,
    ray,
    rollout,
    route,
    search,
    serve,
    sources,
    training,
    usage,
)
from lorabay.errors import LorabayError

EXIT_BUG, EXIT_INTERRUPTED = 3, 130

app = typer.Typer(
    name="lorabay",
    help=(
        "One frozen base model in vLLM, many hot-swapped LoRA adapters, "
        "one OpenAI-compatible server."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# The order here is the order in `lorabay --help`.
serve.add_to(app)
ray.add_to(app)
data.add_to(app)
training.add_to(app)
search.add_to(app)
evaluation.add_to(app)
ladder.add_to(app)
judge.add_to(app)
route.add_to(app)
adapters.add_check(app)
merge.add_to(app)
adapters.add_to(app)
sources.add_to(app)
rollout.add_to(app)
keys.add_to(app)
usage.add_to(app)
audit.add_to(app)
database.add_to(app)
advise.add_to(app)
limits.add_to(app)
bench.add_to(app)
base.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lorabay {metadata.version('lorabay')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Hold the options of the command as a whole; typer shows the app's own help instead."""


def main() -> None:
    """Run the command line and exit with its code."""
    # A terminal may know neither Δ nor every letter of a folder's name.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")

    # PEFT imports it where it is installed, and it tells of kernels that it does not have.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; a failure ends here as one line on stderr."""
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
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"[bold red]error:[/] {escape(message)}", highlight=False)

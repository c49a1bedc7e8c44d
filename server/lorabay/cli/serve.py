"""`lorabay serve`: one flag for each setting, so that flags and settings cannot drift apart."""

from __future__ import annotations

import inspect
import signal
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lorabay.settings import GROUPS, Settings, load_settings


def add_to(app: typer.Typer) -> None:
    """Add the command `serve`."""
    app.command(help="Serve the base and its adapters.")(with_setting_flags(serve))


def serve(config: Path | None = None, **flags: Any) -> None:
    """Serve until a signal; `flags` are the settings that were given, by name."""
    run(settings_of(config, flags))


def settings_of(config: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Return the settings of a server, of which `flags` holds those that were given, or None."""
    given = {name: value for name, value in flags.items() if value is not None}
    return load_settings(given, config=config)


def run(settings: Settings) -> None:
    """Run a server until a signal."""
    # The server takes the signal over once it is imported, which takes seconds. Until then the
    # first process of a container would ignore it.
    signal.signal(signal.SIGTERM, _leave)

    from lorabay.server.server import serve as run_server

    run_server(settings)


def _leave(*_: object) -> None:
    raise SystemExit(0)


def with_setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with one option for each setting, and `--config`.

    typer reads a command's options from its signature; this one is made from the settings.
    """
    parameters = [
        _option(
            name, f"--{name.replace('_', '-')}", _flag_type(field.annotation), field.description
        )
        for group in GROUPS
        for name, field in group.model_fields.items()
    ]
    parameters.append(_option("config", "--config", Path | None, "YAML file of settings."))

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _option(name: str, flag: str, kind: Any, description: str | None) -> inspect.Parameter:
    option = typer.Option(flag, help=description, show_default=False)
    annotation = Annotated[kind, option]

    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _flag_type(annotation: Any) -> Any:
    """Return the type of a setting's flag.

    A mapping is a repeated NAME=VALUE; everything else is text that the settings parse.
    """
    return list[str] | None if typing.get_origin(annotation) is dict else str | None

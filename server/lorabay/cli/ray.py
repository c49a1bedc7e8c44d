"""`lorabay ray`: engines on a Ray cluster, behind one server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from lorabay.cli.serve import run, settings_of, with_setting_flags

REPLICAS = 2
"""Engines that are deployed where no number is given."""


def add_to(app: typer.Typer) -> None:
    """Add the commands of Ray."""
    commands = typer.Typer(
        no_args_is_help=True, help="Serve from several engines on a Ray cluster."
    )
    commands.command(help="Deploy the engines, and serve in front of them until a signal.")(
        with_setting_flags(deploy)
    )
    app.add_typer(commands, name="ray")


def deploy(config: Path | None = None, **flags: Any) -> None:
    """Deploy and serve; the flags are those of `serve`, and two replicas unless they say."""
    settings = settings_of(config, flags)
    if not settings.ray_replicas:
        settings = settings.model_copy(update={"ray_replicas": REPLICAS})
    run(settings)

"""Results on stdout: JSON for programs, text and tables for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_json(result: object) -> None:
    """Print a result of plain values as indented JSON."""
    typer.echo(json.dumps(result, indent=2))


def print_report(report: RenderableType) -> None:
    """Print a report as it is: brackets and colons in folder names are not markup."""
    Console(markup=False, emoji=False).print(report)

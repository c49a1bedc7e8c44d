"""`lorabay base`: the default base model."""

from __future__ import annotations

import typer

base_app = typer.Typer(help="The default base model.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the group `base`."""
    app.add_typer(base_app, name="base")


@base_app.command(help="Prepare the default base model; the folder is the last line printed.")
def prepare() -> None:
    """Prepare the default base and print its folder."""
    from lorabay.base.default import cache_folder, prepare as prepare_default

    typer.echo(prepare_default(cache_folder()))

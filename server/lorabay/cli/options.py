"""Arguments and options that several commands share, and the folders that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorabay.errors import UsageError
from lorabay.settings import Settings, load_settings

BaseOption = Annotated[
    str | None,
    typer.Option("--base", help="Folder or hub id of the base model. Default: as for `serve`."),
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
AllowPickleOption = Annotated[
    bool, typer.Option("--allow-pickle", help="Read pickled weights, without code.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def places(adapters: Path | None, store: Path | None) -> Settings:
    """Return the settings that say where names are looked up, with the given flags in front."""
    flags = {"adapters": adapters, "store": store}
    given = {name: path for name, path in flags.items() if path is not None}

    return load_settings(given)


def directory(where: Settings) -> Path:
    """Return the folder in which adapters lie by name: a mirror, if they come from elsewhere."""
    from lorabay.sources.locations import followed_folder

    return followed_folder(where.adapters, where.store)


def prepared_base(base: str | None) -> Path:
    """Return the folder of `base`, of the base that `LORABAY_BASE` names, or of the default one.

    What is not on this machine is brought here first, as for a server. Raises SetupError for a base
    that does not exist.
    """
    from lorabay.base.default import cache_folder, prepare
    from lorabay.base.find import find_base, revision_of

    settings = load_settings({})
    named = base or settings.base
    if named is None:
        return prepare(cache_folder())

    return find_base(named, revision=revision_of(settings.engine)).path


def name_and_value(option: str) -> tuple[str, str]:
    """Split `NAME=VALUE`; raises UsageError for anything else."""
    name, equals, value = option.partition("=")
    if not equals:
        raise UsageError(f"--engine {option!r} is not NAME=VALUE")

    return name, value

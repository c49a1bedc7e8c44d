"""A folder that a tool makes from others: it appears by one rename when all its files are on disk,
or not at all.

Owns when an output may be made: not inside an input, not where something is already. Knows nothing
of the files.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files.real_paths import real_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextmanager
def new_folder(folder: Path, inputs: Iterable[Path]) -> Iterator[Path]:
    """Gives a hidden folder beside `folder` to write into; raises SetupError when there cannot be
    one.

    An exception in the block, or a kill, leaves nothing at `folder`; after a kill the hidden one
    stays.
    """
    target = real_path(folder)
    for source in inputs:
        if target.is_relative_to(real_path(source)):
            raise SetupError(
                f"the output folder {folder} lies inside {source}; choose another folder"
            )
    # Not the process's number: in a container it is the same each time, and a kill leaves the
    # folder there.
    building = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise SetupError(f"the output folder {folder} is there already; choose another folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        building.mkdir()
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield building
        for path in building.iterdir():
            sync(path)
        sync(building)
        building.replace(target)
        sync(target.parent)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(folder: Path, error: OSError) -> SetupError:
    return SetupError(f"the output folder {folder} cannot be written: {error.strerror or error}")

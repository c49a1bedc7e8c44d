"""The adapters of a folder that is pushed: itself, or its children.

Reads names and sizes, and nothing of the files.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.catalog.names import backup_problems, name_problems
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.sources.adapter_files import is_adapters, wanted_files, what_is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAST = (CONFIG_FILE,)
"""Files that go up after all others, because other readers look for them first."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """One adapter on this machine: its name, its folder, and its files in the order in which they
    go up.
    """

    name: str
    folder: Path
    files: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files. Raises SetupError."""
        total = 0
        for file in self.files:
            with reading(self.folder / file):
                total += (self.folder / file).stat().st_size
        return total


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Have a file of this machine that cannot be read be a SetupError that names it."""
    try:
        yield
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}") from error


def adapters_in(folder: Path) -> tuple[Pushed, ...]:
    """Return the adapter that a folder is, or those that it holds. Raises SetupError."""
    try:
        if any(is_adapters(path.name) for path in folder.iterdir()):
            return (_pushed(folder.resolve()),)
        children = sorted(
            child
            for child in folder.iterdir()
            if child.is_dir() and not child.name.startswith(".")
            if any(is_adapters(path.name) for path in child.iterdir())
        )
        if not children:
            raise SetupError(f"the folder {folder} holds no adapter")
        return tuple(_pushed(child) for child in children)
    except OSError as error:
        raise SetupError(
            f"the folder {folder} cannot be pushed: {error.strerror or error}"
        ) from error


def _pushed(folder: Path) -> Pushed:
    names = {path.name for path in folder.iterdir() if path.is_file()}
    missing = what_is_missing(names)
    if missing is not None:
        raise SetupError(f"the folder {folder} cannot be pushed: {missing}")
    problems = (*name_problems(folder.name), *backup_problems(folder.name))
    if problems:
        raise SetupError(f"the folder {folder} cannot be pushed: {problems[0].text}")

    for name, limit in wanted_files(names).items():
        size = (folder / name).stat().st_size
        if size > limit:
            raise SetupError(f"{folder / name} has {size} bytes; the limit is {limit}")
    order = sorted(
        wanted_files(names), key=lambda name: (name in _LAST, name != WEIGHTS_FILE, name)
    )
    return Pushed(folder.name, folder, tuple(order))

"""The folder of versions that are half made, or half removed; all servers over a store share it.

    work/<server>.<random>/

What a server that lives no more left there is trash, and so is what a living one has removed. Knows
nothing of what the folders hold.
"""

from __future__ import annotations

import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path


class WorkFolder:
    """The work of one server, as other servers see it too."""

    def __init__(self, folder: Path, server: str) -> None:
        self._folder = folder
        self._server = server
        self._filled: set[str] = set()
        """Names of the folders that this process fills."""

    def new_path(self) -> Path:
        """Return a path of this server that does not exist yet."""
        return self._folder / f"{self._server}.{secrets.token_hex(8)}"

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """Make a folder for the time of the block; raises OSError."""
        folder = self.new_path()
        self._filled.add(folder.name)
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            # What the disk does not let go now, the next sweep removes.
            shutil.rmtree(folder, ignore_errors=True)
            self._filled.discard(folder.name)

    def trash(self, is_alive: Callable[[str], bool]) -> list[Path]:
        """Return what no living server makes any more: left by a kill, or by a disk that failed.

        `is_alive` says whether a server still runs. Raises OSError.
        """
        return [path for path in self._folder.iterdir() if self._is_trash(path.name, is_alive)]

    def _is_trash(self, name: str, is_alive: Callable[[str], bool]) -> bool:
        server = name.partition(".")[0]
        if server == self._server:
            return name not in self._filled
        return not is_alive(server)


def delete(trash: Iterable[Path]) -> None:
    """Delete folders; raises the first OSError when all that can be deleted is gone.

    Several servers may delete the same folders at once.
    """
    problems: list[OSError] = []
    for path in trash:
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(error)
    if problems:
        raise problems[0]

"""Disks that fail: full ones, and ones whose operations fail or hang below one folder."""

from __future__ import annotations

import builtins
import errno
import io
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ERRORS = (errno.EIO, errno.ENOSPC, errno.EMFILE, errno.ESTALE)
"""What a disk says of a hiccup."""

OPERATIONS = (
    (os, "chmod"),
    (os, "fsync"),
    (os, "listdir"),
    (os, "mkdir"),
    (os, "open"),
    (os, "rename"),
    (os, "replace"),
    (os, "rmdir"),
    (os, "scandir"),
    (os, "stat"),
    (os, "unlink"),
    (io, "open"),
    (builtins, "open"),
)
"""The functions through which this program reaches the files of a store."""


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Make every write beyond `size` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class FailingDisk:
    """Stands before every operation below `root`: counts it, and lets it fail if a test wants."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self.count = 0
        self._fails: Callable[[int], bool] = lambda number: False
        self._error = 0
        self._where = ""

    def fail(self, error: int, *, first: int = 0, every: int = 1, where: str = "") -> None:
        """Let each `every`-th operation fail from now on, from the `first` on.

        Only those count whose path contains `where`.
        """
        self._begin(lambda number: number >= first and (number - first) % every == 0, error, where)

    def fail_once(self, error: int, number: int) -> None:
        """Let one operation from now on fail, and all others succeed."""
        self._begin(lambda current: current == number, error)

    def heal(self) -> None:
        """Let every operation succeed from now on."""
        self._begin(lambda number: False)

    def _begin(self, fails: Callable[[int], bool], error: int = 0, where: str = "") -> None:
        self.count, self._fails, self._error, self._where = 0, fails, error, where

    @contextmanager
    def well(self) -> Iterator[None]:
        """Let every operation of the block succeed, and count none."""
        count, fails = self.count, self._fails
        self._fails = lambda number: False
        try:
            yield
        finally:
            self.count, self._fails = count, fails

    @contextmanager
    def attached(self) -> Iterator[FailingDisk]:
        """Stand between the program and the folder while the block lasts."""
        real = [(module, name, getattr(module, name)) for module, name in OPERATIONS]
        try:
            for module, name, function in real:
                setattr(module, name, self._between(function))
            yield self
        finally:
            for module, name, function in real:
                setattr(module, name, function)

    def _between(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def operate(*arguments: Any, **options: Any) -> Any:
            path = _path(arguments[0]) if arguments else ""
            if path.startswith(self._root) and self._where in path:
                self.count += 1
                if self._fails(self.count - 1):
                    raise OSError(self._error, os.strerror(self._error))
            return function(*arguments, **options)

        return operate


def _path(what: object) -> str:
    """Return the path that an operation is about: it may have a descriptor instead."""
    if isinstance(what, int):
        try:
            return str(Path(f"/proc/self/fd/{what}").readlink())
        except OSError:
            return ""
    return str(what) if isinstance(what, str | os.PathLike) else ""

"""One training at a time in a folder: the second would write over the first."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK = ".lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if need be, while the block lasts.

    Raises SetupError at once if another process holds it, or if it cannot be made. A killed process
    holds nothing.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, blocking=False)
        lock.acquire()
    except Timeout as error:
        raise SetupError(
            f"another training writes into {folder.parent}: wait for its end, or choose another "
            "--output"
        ) from error
    except OSError as error:
        raise SetupError(f"{folder} cannot be written: {error.strerror or error}") from error

    try:
        yield
    finally:
        lock.release()

"""Paths without links: where a path really leads, also if its last parts do not exist yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


def real_path(path: Path) -> Path:
    """Return the absolute path that `path` leads to.

    Raise SetupError for a link that leads back to itself, and for a folder on the way that may not
    be entered.
    """
    try:
        return path.resolve()
    except OSError as error:
        raise SetupError(f"{path} cannot be used: {error.strerror}") from error
    except RuntimeError as error:  # a loop of links, before Python 3.13
        raise SetupError(
            f"{path} cannot be used: it is a link that leads back to itself"
        ) from error

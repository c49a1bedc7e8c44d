"""Paths without links: where a path really leads, also if its last parts do not exist yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterable


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


def both_forms(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return every path as it is written and as it is without links, both absolute."""
    forms = [form for path in paths for form in (path.absolute(), path.resolve())]
    return tuple(dict.fromkeys(forms))


def is_written_below(path: Path, roots: Iterable[Path]) -> bool:
    """Return whether `path`, as it is written, lies in one of `roots`; the disk is not asked.

    A path elsewhere may lie on a disk that does not answer, or may tell who else is there.
    """
    # Path.absolute alone leaves `..` as it is, and Path.resolve asks the disk.
    written = Path(os.path.normpath(path.absolute()))
    return any(written.is_relative_to(root) for root in roots)

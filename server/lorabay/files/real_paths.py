"""Where a path really leads, whatever links are on the way. The last parts of it need not be
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


def real_path(path: Path) -> Path:
    """Raises SetupError for a link that leads back to itself, and for a folder on the way that may
    not be entered.
    """
    try:
        return path.resolve()
    except OSError as error:
        raise SetupError(f"{path} cannot be used: {error.strerror}") from error
    except RuntimeError as error:  # a loop of links, before Python 3.13
        raise SetupError(
            f"{path} cannot be used: it is a link that leads back to itself"
        ) from error

"""What a training says where the disk does not take its files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raise SetupError for a file or folder that the block cannot write: full, or read-only."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SetupError(
            f"{place} cannot be written: {reason}; the same command goes on from the last "
            "checkpoint"
        ) from error

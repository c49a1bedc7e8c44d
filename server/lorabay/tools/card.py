"""An adapter's card, the README.md that tells what it is for: what is made from an adapter keeps
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

CARD = "README.md"


def copy_card(source: Path, target: Path) -> None:
    """Copy the card of the folder `source`, if it has one. Raises SetupError when it cannot be
    read, OSError when it cannot be written."""
    try:
        card = (source / CARD).read_bytes() if (source / CARD).is_file() else None
    except OSError as error:
        raise SetupError(f"{source / CARD} cannot be read: {error.strerror}") from error
    if card is not None:
        (target / CARD).write_bytes(card)

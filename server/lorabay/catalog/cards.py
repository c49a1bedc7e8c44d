"""The card of an adapter: what its maker says of it, in the `README.md` of its folder.

A card is of a folder and not of a version: it is read when somebody asks, and nothing relies on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.files.adapter_folder import Unreadable, open_source, read_bytes
from lorabay.files.folder_read import FolderRead

if TYPE_CHECKING:
    from pathlib import Path

CARD_FILE = "README.md"

LIMIT_BYTES = 200_000
"""Size beyond which a card is not shown."""


def read_card(folder: Path, roots: tuple[Path, ...]) -> str | None:
    """Return the card of an adapter's folder; None if it has none that can be read.

    It must be a regular file inside `roots`. Blocks.
    """
    try:
        with open_source(folder / CARD_FILE, LIMIT_BYTES, roots=roots, read=FolderRead()) as file:
            content = read_bytes(file, LIMIT_BYTES)
    except Unreadable:
        return None
    return content.decode("utf-8-sig", "replace")

"""Changes that tests make: an admin's load, and a copy in a folder's place."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.serving.bay import ADMIN

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.catalog.versions import Version
    from tests.serving.bay import Bay


async def load(bay: Bay, path: Path, *, replace: bool = False) -> Version:
    return await bay.changes.load(
        path, bay.version("finance", 0).adapter, replace=replace, who=ADMIN
    )


def copy_in_place(bay: Bay, name: str) -> None:
    """Put a copy in a folder's place, as a restored backup is: new inodes and change times."""
    shutil.copytree(bay.root / name, bay.folder / "copied")
    bay.take_away(name)
    (bay.folder / "copied").rename(bay.root / name)

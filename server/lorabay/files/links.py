"""A second name for a file that never changes: nothing is copied where links are possible."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def link_or_copy(source: Path | str, target: Path | str) -> None:
    """Have the file `source` at `target`, too; raises OSError if it cannot be.

    A second name changes the times of a file, and a write through one name shows under the other.
    """
    with suppress(OSError):  # another file system, or one without links
        os.link(source, target)
        return
    shutil.copy2(source, target)

"""How much room the disk of the store has, for the metrics.

The disk is asked by a thread, since one that hangs must not keep a scrape waiting: each question
starts the next look and is answered by the one before. While a look hangs, no other begins. Knows
nothing of what lies in the store.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.metrics import Metrics


class DiskSpace:
    """Free bytes and all bytes of the disk that a folder lies on."""

    def __init__(self, folder: Path) -> None:
        """Look for the first time, which blocks. Raises OSError if the folder cannot be read."""
        self._folder = folder
        self._usage = shutil.disk_usage(folder)
        self._look: threading.Thread | None = None

    def free(self) -> float:
        """Return the free bytes as they were at the last look, and look again."""
        if self._look is None or not self._look.is_alive():
            self._look = threading.Thread(target=self._read, name="store space", daemon=True)
            self._look.start()
        return float(self._usage.free)

    def size(self) -> float:
        """Return all bytes, as they were at the last look."""
        return float(self._usage.total)

    def _read(self) -> None:
        try:
            self._usage = shutil.disk_usage(self._folder)
        except OSError:
            return  # what was known is shown; the store itself tells of its disk


def show_space(folder: Path, metrics: Metrics) -> None:
    """Have the metrics tell how much room the store has."""
    space = DiskSpace(folder)
    metrics.store_free.set_function(space.free)
    metrics.store_size.set_function(space.size)

"""Composites inside composites: how deep they may be, and that none contains itself.

Compares folders without links only. Knows nothing of what lies in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.catalog.composite.composite_file import DEPTH_AT_MOST
from lorabay.reasons import Reason

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Nesting:
    """The folders of the composites around an adapter, the outermost first."""

    folders: tuple[Path, ...] = ()

    @property
    def depth(self) -> int:
        """The number of composites around the adapter."""
        return len(self.folders)

    def inside(self, composite: Path) -> Nesting:
        """Return where the members of a composite are that lies here."""
        return Nesting((*self.folders, composite))

    def circle(self, folder: Path) -> Reason | None:
        """Return a reason that shows the circle if `folder` is one of the composites around."""
        if folder not in self.folders:
            return None

        first = self.folders.index(folder)
        circle = (*self.folders[first:], folder)
        names = " -> ".join(path.name for path in circle)
        return Reason("composite_cycle", f"the composite contains itself: {names}")

    def problem(self, composite: Path) -> Reason | None:
        """Return why a composite may not lie here; None if it may."""
        circle = self.circle(composite)
        if circle is not None:
            return circle
        if self.depth >= DEPTH_AT_MOST:
            return Reason("composite_depth", f"composites are more than {DEPTH_AT_MOST} deep")
        return None

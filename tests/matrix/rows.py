"""One row of the matrix: an architecture in every layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.matrix.cells import Cell, on_the_bench
from tests.matrix.layouts import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from tests.matrix.architectures import Architecture


def row(
    architecture: Architecture, folder: Path, layouts: Collection[str] = tuple(LAYOUTS)
) -> dict[str, Cell]:
    """Return layout -> result."""
    with on_the_bench(architecture, folder) as bench:
        return {layout: bench.cell(layout) for layout in layouts}

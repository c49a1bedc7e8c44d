"""`lorabay inspect` from what is asked for to what is shown: one adapter, or what differs between
two.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.tools.find_adapter import find_adapter
from lorabay.tools.inspection.comparison import Comparison, compare
from lorabay.tools.inspection.heat_map import check_plot, draw
from lorabay.tools.inspection.inspection import Inspection, inspect
from lorabay.tools.inspection.opened import open_adapter, readable

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class InspectSettings:
    """One invocation. `adapter` and `other`: a folder, a name in `adapters`, or `name@digest` in
    `store`.

    `initial` and `residual_base`: as in `catalog.adapter_updates`, for both.
    """

    adapter: str
    base: Path
    adapters: Path
    store: Path
    other: str | None = None
    plot: Path | None = None
    initial: Path | None = None
    residual_base: bool = False


def run_inspect(settings: InspectSettings) -> Inspection | Comparison:
    """Find, read and measure; draw `adapter` where that is asked for. Raises SetupError."""
    if settings.plot is not None:
        check_plot(settings.plot)
    named = [name for name in (settings.adapter, settings.other) if name is not None]
    with ExitStack() as stack:
        found = [
            stack.enter_context(find_adapter(name, settings.adapters, settings.store))
            for name in named
        ]
        opened = [
            open_adapter(
                source,
                settings.base,
                initial=settings.initial,
                residual_base=settings.residual_base,
            )
            for source in found
        ]
        if settings.other is not None and settings.plot is None:
            return compare(*map(readable, opened))
        report = inspect(opened[0])
        if settings.plot is not None:
            draw(report, settings.plot)
        return report if settings.other is None else compare(*map(readable, opened))

"""`lorabay inspect`, from its settings to a report on one adapter or on two."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.tools.find_adapter import find_adapter
from lorabay.tools.inspection.comparison import Comparison, compare
from lorabay.tools.inspection.heat_map import check_plot, draw
from lorabay.tools.inspection.inspection import inspect
from lorabay.tools.inspection.opened import open_adapter, readable

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.tools.inspection.report import Inspection


@dataclass(frozen=True, slots=True)
class InspectSettings:
    """One invocation of `lorabay inspect`."""

    adapter: str
    """A folder, a name in `adapters`, or `name@digest` in `store`."""

    base: Path
    adapters: Path
    store: Path

    other: str | None = None
    """Adapter to compare with, named in the same ways."""

    plot: Path | None = None
    """PNG file for a heat map of `adapter`."""

    initial: Path | None = None
    """Folder of the adapters as they were initialised, if that changed the base."""

    residual_base: bool = False
    """Whether `base` is the base that the initialisation left."""


def run_inspect(settings: InspectSettings) -> Inspection | Comparison:
    """Inspect one adapter, or compare two; draw the first one if a plot is asked for.

    Raise SetupError if an adapter cannot be found or read, or if the plot cannot be drawn.
    """
    if settings.plot is not None:
        check_plot(settings.plot)

    names = [settings.adapter]
    if settings.other is not None:
        names.append(settings.other)

    with ExitStack() as stack:
        sources = [
            stack.enter_context(find_adapter(name, settings.adapters, settings.store))
            for name in names
        ]
        opened = [
            open_adapter(
                source,
                settings.base,
                initial=settings.initial,
                residual_base=settings.residual_base,
            )
            for source in sources
        ]

        # Only a plot or a report needs the first one measured on its own.
        if settings.plot is not None or settings.other is None:
            report = inspect(opened[0])
            if settings.plot is not None:
                draw(report, settings.plot)
            if settings.other is None:
                return report
        return compare(*map(readable, opened))

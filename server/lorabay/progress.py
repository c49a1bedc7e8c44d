"""The progress bars of the offline tools: on stderr where it is a terminal, silent elsewhere.

Knows nothing of the work that is measured.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress_bar(
    total: int, what: str, console: Console | None = None
) -> Iterator[Callable[[str, int], None]]:
    """A bar of `total` units while the block lasts; the block calls `advance(text, units)` with
    what it does now and the units that are done since the last call."""
    # By file, not by `stderr=True`: a block may point sys.stderr elsewhere to silence a library.
    console = console or Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda text, units: bar.update(task, description=text, advance=units)

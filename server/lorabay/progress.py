"""Progress bars of long tasks: on stderr where it is a terminal, silent elsewhere.

Knows nothing of the work that a bar measures.
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
    total: int, title: str, console: Console | None = None
) -> Iterator[Callable[[str, int], None]]:
    """Show a bar of `total` units while the block lasts.

    The block gets `advance(text, units)`, which shows `text` and adds the units done since the
    last call.
    """
    # By file and not by `stderr=True`: a block may point sys.stderr elsewhere to silence a library.
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
        task = bar.add_task(title, total=total)
        yield lambda text, units: bar.update(task, description=text, advance=units)

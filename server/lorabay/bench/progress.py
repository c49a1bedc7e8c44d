"""How far a bench invocation is, for whoever watches it. Two implementations: a bar on a console,
and nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as RichProgress,
    TextColumn,
    TimeElapsedColumn,
)

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console


class Progress(Protocol):
    """Called by scenarios: once with the number of steps, then at the start of each."""

    def plan(self, steps: int) -> None: ...

    def step(self, what: str) -> None: ...


class NoProgress:
    """Shows nothing."""

    def plan(self, steps: int) -> None:
        pass

    def step(self, what: str) -> None:
        pass


class BarProgress:
    """A bar while its `with` block lasts; it stays silent where the console is no terminal."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bar = RichProgress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task("bench", total=None)
        self._begun = 0

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def plan(self, steps: int) -> None:
        self._bar.update(self._task, total=steps)

    def step(self, what: str) -> None:
        self._bar.update(self._task, description=what, completed=self._begun)
        self._begun += 1

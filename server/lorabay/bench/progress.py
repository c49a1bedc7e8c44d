"""The progress of a bench invocation: a bar on a terminal, or nothing.

Unlike the tools' bar, a scenario says how many steps it has once it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as RichProgress,
    TextColumn,
    TimeElapsedColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

T = TypeVar("T")


class Progress(Protocol):
    """Receiver of a scenario's steps: their number once, then each at its start."""

    def plan(self, steps: int) -> None: ...

    def step(self, what: str) -> None: ...


class NoProgress:
    """Progress that shows nothing."""

    def plan(self, steps: int) -> None:
        pass

    def step(self, what: str) -> None:
        pass


class BarProgress:
    """Progress as a bar while its `with` block lasts; silent if the console is not a terminal."""

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
        # The step that begins is not done yet: the bar counts those before it.
        self._bar.update(self._task, description=what, completed=self._begun)
        self._begun += 1


def announced(progress: Progress, side: str, take: Callable[[], T]) -> Callable[[int], T]:
    """Return `take` as the turn of a side, for `alternate`: it shows side and round first."""

    def turn(number: int) -> T:
        progress.step(f"{side}, round {number + 1}")
        return take()

    return turn

"""A climb for a terminal: every rung, what it reached and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.ladder.targets import FIGURES

if TYPE_CHECKING:
    from rich.console import Group

    from lorabay.ladder.climb import Climb, Step


def table(climb: Climb) -> Group:
    """Return a table with a line for each rung, and how the climb ended."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    measured = climb.steps[0].outcome.figures if climb.steps else {}
    figures = [name for name in FIGURES if name in measured]

    head = ("rung", *figures, "learnt", "size, MB", "minutes", "target")
    drawn = Table(*head, title="Rungs", title_justify="left")
    for step in climb.steps:
        drawn.add_row(*map(Text, _row(step, figures)))
    return Group(drawn, Text(climb.sentence()))


def _row(step: Step, figures: list[str]) -> list[str]:
    outcome = step.outcome
    return [
        step.name,
        *(f"{outcome.figures[name]:.3g}" for name in figures),
        f"{outcome.learning:,}",
        f"{outcome.size_bytes / 1e6:.1f}",
        f"{outcome.seconds / 60:.1f}",
        "holds" if step.holds else "missed",
    ]

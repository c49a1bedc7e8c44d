"""The matrix as a table of the documentation: a row an architecture, a column a layout.

A cell that is not equal throughout has a number, and the list below the table has the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.matrix.layouts import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

EQUAL, ABSENT = "equal", "-"


def table(rows: Mapping[str, Mapping[str, str]]) -> str:
    """Return the table and its reasons in Markdown."""
    lines = [
        f"| architecture | {' | '.join(LAYOUTS)} |",
        f"|---|{'---|' * len(LAYOUTS)}",
    ]
    numbers: dict[str, int] = {}
    for architecture, cells in rows.items():
        shown = [_shown(cells[layout], numbers) for layout in LAYOUTS]
        lines.append(f"| {architecture} | {' | '.join(shown)} |")

    reasons = [f"{number}. {text}" for text, number in numbers.items()]
    return "\n".join([*lines, "", *reasons]).rstrip()


def _shown(text: str, numbers: dict[str, int]) -> str:
    """Return the cell, or the number of its text."""
    if text == EQUAL:
        return "equal"
    if text == ABSENT:
        return ""
    return f"({numbers.setdefault(text, len(numbers) + 1)})"

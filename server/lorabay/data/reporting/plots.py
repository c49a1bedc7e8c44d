"""Bars as SVG, drawn here: a report opens on any machine, and loads nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH = 640
_NAME_WIDTH = 210
_COUNT_WIDTH = 70
_BAR_HEIGHT, _ROW_HEIGHT = 16, 22
_COLUMN_HEIGHT = 140


def bars(counts: Mapping[str, int]) -> str:
    """Return a horizontal bar for each name, as long as its count."""
    most = max(counts.values(), default=0) or 1
    room = _WIDTH - _NAME_WIDTH - _COUNT_WIDTH

    drawn = []
    for place, (name, count) in enumerate(counts.items()):
        top = place * _ROW_HEIGHT
        length = room * count / most
        drawn.append(
            f'<text x="{_NAME_WIDTH - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_NAME_WIDTH}" y="{top}" width="{length:.1f}" height="{_BAR_HEIGHT}"/>'
            f'<text x="{_NAME_WIDTH + length + 6:.1f}" y="{top + 13}">{count:,}</text>'
        )
    return _picture(len(counts) * _ROW_HEIGHT, drawn)


def columns(counts: Mapping[str, int]) -> str:
    """Return a column for each name, as high as its count: a histogram."""
    most = max(counts.values(), default=0) or 1
    width = _WIDTH / max(len(counts), 1)

    drawn = []
    for place, (name, count) in enumerate(counts.items()):
        left = place * width
        height = _COLUMN_HEIGHT * count / most
        middle = left + width / 2
        drawn.append(
            f'<rect x="{left + 1:.1f}" y="{_COLUMN_HEIGHT - height + 16:.1f}" '
            f'width="{max(width - 2, 0.5):.1f}" height="{height:.1f}"/>'
            f'<text x="{middle:.1f}" y="{_COLUMN_HEIGHT - height + 12:.1f}" '
            f'text-anchor="middle">{count:,}</text>'
            f'<text x="{middle:.1f}" y="{_COLUMN_HEIGHT + 32}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    return _picture(_COLUMN_HEIGHT + 40, drawn)


def _picture(height: int, drawn: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}">{"".join(drawn)}</svg>'
    )

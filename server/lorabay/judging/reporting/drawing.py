"""Shares and their intervals as SVG, drawn here: a report opens on any machine."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _NAME_WIDTH, _MARGIN = 760, 300, 20
_ROW, _TOP = 30, 24


class Mark(NamedTuple):
    """A name, a share from 0 to 1 (None: none), and its interval."""

    name: str
    value: float | None
    low: float
    high: float


def marks(rows: Sequence[Mark]) -> str:
    """Return a dot and a line for each row, over an axis of 0 to 100 % with a mark at 50 %."""
    bottom = _TOP + _ROW * len(rows)
    drawn = [
        f'<line class="axis" x1="{_x(0)}" x2="{_x(1)}" y1="{bottom}" y2="{bottom}"/>',
        f'<line class="half" x1="{_x(0.5)}" x2="{_x(0.5)}" y1="{_TOP - 8}" y2="{bottom}"/>',
        *(
            f'<text x="{_x(value)}" y="{bottom + 20}" text-anchor="middle">{value:.0%}</text>'
            for value in (0, 0.25, 0.5, 0.75, 1)
        ),
    ]
    for place, row in enumerate(rows):
        drawn += _row(row, _TOP + _ROW * place + _ROW / 2)

    height = bottom + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Shares with intervals" '
        f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">{"".join(drawn)}</svg>'
    )


def _row(row: Mark, y: float) -> list[str]:
    drawn = [
        f'<text x="{_NAME_WIDTH - 12}" y="{y + 4}" text-anchor="end">{escape(row.name)}</text>',
        f'<line class="interval" x1="{_x(row.low)}" x2="{_x(row.high)}" y1="{y}" y2="{y}"/>',
    ]
    if row.value is not None:
        drawn.append(f'<circle cx="{_x(row.value)}" cy="{y}" r="6"/>')
    return drawn


def _x(share: float) -> float:
    return round(_NAME_WIDTH + share * (_WIDTH - _NAME_WIDTH - _MARGIN), 1)

"""Figures with their intervals as SVG, drawn here: a page opens on any machine."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from lorabay.evaluation.tables import figure_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.evaluation.results import Figure

_WIDTH = 760
_NAME_WIDTH = 130
_TEXT_WIDTH = 170
_ROW_HEIGHT = 22
_WIDE = 20
"""A range whose ends differ by more than this factor is drawn on a scale of logarithms."""


def whiskers(figures: Mapping[str, Figure]) -> str:
    """Return a row for each name: a dot for its figure, a line for its interval."""
    ends = [end for figure in figures.values() for end in (*figure.interval, figure.value)]
    scale = _Scale([end for end in ends if math.isfinite(end)])

    drawn = []
    for place, (name, figure) in enumerate(figures.items()):
        middle = place * _ROW_HEIGHT + _ROW_HEIGHT / 2
        low, high = map(scale.x, figure.interval)
        drawn.append(
            f'<text x="{_NAME_WIDTH - 10}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>'
            f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>'
            f'<circle cx="{scale.x(figure.value):.1f}" cy="{middle}" r="4"/>'
            f'<text x="{_WIDTH - _TEXT_WIDTH + 14}" y="{middle + 4}">'
            f"{escape(figure_text(figure))}</text>"
        )

    height = len(figures) * _ROW_HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}">{"".join(drawn)}</svg>'
    )


class _Scale:
    """Places of values between the names and the texts."""

    def __init__(self, values: list[float]) -> None:
        low, high = min(values, default=0.0), max(values, default=1.0)
        self._is_logarithmic = low > 0 and high > _WIDE * low
        self._low, self._high = self._on_scale(low), self._on_scale(high)

    def x(self, value: float) -> float:
        """Return the place of a value in the drawing; one without a number is at the right end."""
        room = _WIDTH - _NAME_WIDTH - _TEXT_WIDTH
        if not math.isfinite(value) or self._high == self._low:
            return _NAME_WIDTH + (room if not math.isfinite(value) else room / 2)
        share = (self._on_scale(value) - self._low) / (self._high - self._low)
        return _NAME_WIDTH + room * share

    def _on_scale(self, value: float) -> float:
        return math.log(value) if self._is_logarithmic else value

"""Draws ||ΔW||/||W|| as a picture with a row for each layer and a column for each module.

Pale is little, dark is most, and grey is nothing. Pillow comes with an extra and is imported when
it is needed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from PIL import Image, ImageDraw

    from lorabay.tools.inspection.report import Inspection

# Sizes in pixels.
_CELL_WIDTH = 130
_CELL_HEIGHT = 22
_LEFT = 60
_TOP = 50
_MARGIN = 10
_LEAST_WIDTH = 460  # for the title

_NOTHING = (225, 225, 225)


def check_plot(path: Path) -> None:
    """Raise SetupError if no picture can be drawn at `path`. Call it before measuring anything."""
    if path.suffix.lower() != ".png":
        raise SetupError(f"--plot {path} is no .png file")
    # Only folders contain a dot.
    if not os.access(f"{path.parent}/.", os.W_OK, effective_ids=True):
        raise SetupError(
            f"--plot {path} cannot be written: {path.parent} is no folder that can be written to"
        )
    try:
        import PIL.ImageDraw  # noqa: F401
    except ImportError as error:
        raise SetupError(
            "--plot needs Pillow, which is not installed: pip install 'lorabay[train]'"
        ) from error


def draw(inspection: Inspection, path: Path) -> None:
    """Write the picture as PNG, as a whole or not at all.

    Raise SetupError if there is nothing to draw, or if it cannot be written.
    """
    check_plot(path)

    cells = {}
    for module in inspection.modules:
        layer, name = module.place
        if layer is not None and module.ratio is not None:
            cells[layer, name] = module.ratio
    if not cells:
        raise SetupError(
            f"there is nothing to plot: no module in a layer of {inspection.folder} can be measured"
        )

    try:
        with durable.replacing(path, lasting=False) as partial:
            _picture(cells).save(partial, "PNG")
    except OSError as error:
        raise SetupError(f"--plot {path} cannot be written: {error.strerror or error}") from error


def _picture(cells: Mapping[tuple[int, str], float]) -> Image.Image:
    """Draw the ratio of each (layer, module)."""
    from PIL import Image, ImageDraw

    layers = sorted({layer for layer, _ in cells})
    names = list(dict.fromkeys(name for _, name in cells))
    largest = max(cells.values()) or 1.0

    width = _LEFT + _CELL_WIDTH * len(names) + _MARGIN
    height = _TOP + _CELL_HEIGHT * len(layers) + _MARGIN
    image = Image.new("RGB", (max(width, _LEAST_WIDTH), height), "white")

    pen = ImageDraw.Draw(image)
    pen.text((8, 6), f"||dW|| / ||W|| by layer and module, largest {largest:.3g}", fill="black")
    for column, name in enumerate(names):
        pen.text((_LEFT + column * _CELL_WIDTH + 4, _TOP - 18), name[-20:], fill="black")

    for row, layer in enumerate(layers):
        y = _TOP + row * _CELL_HEIGHT
        pen.text((8, y + 5), f"layer {layer}", fill="black")
        for column, name in enumerate(names):
            corner = (_LEFT + column * _CELL_WIDTH, y)
            _draw_cell(pen, corner, cells.get((layer, name)), largest)
    return image


def _draw_cell(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], ratio: float | None, largest: float
) -> None:
    """Draw one ratio, on blue that is as dark as its share of the largest; None is grey."""
    x, y = corner
    box = (x, y, x + _CELL_WIDTH - 2, y + _CELL_HEIGHT - 2)
    if ratio is None:
        pen.rectangle(box, fill=_NOTHING)
        return

    share = ratio / largest
    colour = (int(247 - 239 * share), int(251 - 203 * share), int(255 - 148 * share))
    pen.rectangle(box, fill=colour)
    pen.text((x + 4, y + 5), f"{ratio:.2e}", fill="white" if share > 0.5 else "black")

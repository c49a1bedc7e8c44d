"""Draws ||ΔW||/||W|| as a picture: a row a layer, a column a module; pale is little, dark is most,
grey is nothing.

Pillow is imported when it is needed: it comes with an extra, and whoever lacks it is told so.
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

    from lorabay.tools.inspection.inspection import Inspection

_CELL_WIDTH, _CELL_HEIGHT, _LEFT, _TOP = 130, 22, 60, 50
_NOTHING = (225, 225, 225)


def check_plot(path: Path) -> None:
    """Raises SetupError when no picture can be drawn there, before anything is measured for it."""
    if path.suffix.lower() != ".png":
        raise SetupError(f"--plot {path} is no .png file")
    if not os.access(
        f"{path.parent}/.", os.W_OK, effective_ids=True
    ):  # the dot is there in folders only
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
    """Write the picture as PNG, whole or not at all. Raises SetupError when there is nothing to
    draw or it cannot be written."""
    check_plot(path)
    cells = {
        m.place: m.ratio
        for m in inspection.modules
        if m.ratio is not None and m.place[0] is not None
    }
    if not cells:
        raise SetupError(
            f"there is nothing to plot: no module in a layer of {inspection.folder} can be measured"
        )
    try:
        with durable.replacing(path, lasting=False) as partial:
            _picture(cells).save(partial, "PNG")
    except OSError as error:
        raise SetupError(f"--plot {path} cannot be written: {error.strerror or error}") from error


def _picture(cells: Mapping[tuple[int | None, str], float]) -> Image.Image:
    from PIL import Image, ImageDraw

    layers = sorted({layer for layer, _ in cells if layer is not None})
    names = list(dict.fromkeys(name for _, name in cells))
    top = max(cells.values()) or 1.0
    size = (_LEFT + _CELL_WIDTH * len(names) + 10, _TOP + _CELL_HEIGHT * len(layers) + 10)
    image = Image.new("RGB", (max(size[0], 460), size[1]), "white")
    pen = ImageDraw.Draw(image)
    pen.text((8, 6), f"||dW|| / ||W|| by layer and module, largest {top:.3g}", fill="black")
    for column, name in enumerate(names):
        pen.text((_LEFT + column * _CELL_WIDTH + 4, _TOP - 18), name[-20:], fill="black")
    for row, layer in enumerate(layers):
        y = _TOP + row * _CELL_HEIGHT
        pen.text((8, y + 5), f"layer {layer}", fill="black")
        for column, name in enumerate(names):
            _cell(pen, (_LEFT + column * _CELL_WIDTH, y), cells.get((layer, name)), top)
    return image


def _cell(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], ratio: float | None, top: float
) -> None:
    x, y = corner
    share = 0.0 if ratio is None else ratio / top
    colour = (
        _NOTHING
        if ratio is None
        else (int(247 - 239 * share), int(251 - 203 * share), int(255 - 148 * share))
    )
    pen.rectangle((x, y, x + _CELL_WIDTH - 2, y + _CELL_HEIGHT - 2), fill=colour)
    if ratio is not None:
        pen.text((x + 4, y + 5), f"{ratio:.2e}", fill="white" if share > 0.5 else "black")

"""DoRA's factor of each output: c = m / ||W + s B A||, by row, so that W' x = c ⊙ W x + c ⊙ s B (A
x).

The base's weight passes through in blocks of rows; sums are taken in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Directional


def output_scale(
    update: Directional, blocks: Iterable[tuple[int, NDArray[np.float32]]]
) -> NDArray[np.float32]:
    """c for every output; `blocks` are rows of W with the number of their first."""
    low_rank = update.low_rank
    magnitude = update.magnitude().astype(np.float64)
    scale = np.empty_like(magnitude)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        a, b = low_rank.a(), low_rank.b() * np.float32(low_rank.scale)
        for first, weight in blocks:
            rows = slice(first, first + len(weight))
            moved = b[rows] @ a
            moved += weight
            scale[rows] = magnitude[rows] / np.sqrt(
                np.einsum("ij,ij->i", moved, moved, dtype=np.float64)
            )
        return scale.astype(np.float32)

"""Blocks of a weight that share a scale: their size, and one scale for each number.

The size is the one that the config names. It is never guessed from the number of scales: 576 inputs
have six groups of 96, and six of 100. Knows nothing of how the numbers are packed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Numbers that share a scale: `rows` outputs by `columns` inputs."""

    rows: int
    columns: int

    def count(self, shape: Shape) -> Shape:
        """Return how many blocks cover a weight, along its outputs and its inputs.

        The last block of each direction may be cut off.
        """
        outputs, inputs = shape
        return -(-outputs // self.rows), -(-inputs // self.columns)


def fitting_block(module: str, shape: Shape, scales: Shape, named: Iterable[Block]) -> Block:
    """Return the block of a weight of `shape` whose scales have the shape `scales`.

    One scale for all and one for each output need no size; else it is one of those that the config
    has `named`. Raise SetupError if none of them leads to that many scales, or several do.
    """
    if len(shape) != 2:
        raise SetupError(
            f"the base is quantised, and {quoted(module)} has {len(shape)} dimensions; "
            "only matrices can be de-quantised here"
        )
    outputs, inputs = shape
    found = scales[0] if scales else 1, math.prod(scales[1:])
    if found == (1, 1):
        return Block(outputs, inputs)
    if found == (outputs, 1):
        return Block(1, inputs)

    # A single row of scales holds for every output.
    sizes = {Block(outputs, block.columns) if found[0] == 1 else block for block in named}
    fitting = [block for block in sizes if block.count(shape) == found]
    if len(fitting) == 1:
        return fitting[0]

    listed = ", ".join(sorted(f"{block.rows}x{block.columns}" for block in sizes)) or "none"
    problem = "several of the block sizes" if fitting else "none of the block sizes"
    raise SetupError(
        f"the base is quantised, and {problem} of its config ({listed}) explains the "
        f"{found[0]}x{found[1]} scales of {quoted(module)}, whose weight is {outputs}x{inputs}"
    )


def spread(
    scales: NDArray[np.float32],
    shape: Shape,
    block: Block,
    groups: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Return an array that broadcasts to `shape`, with the scale of each number.

    `groups` is the group of each input, if they are not in order. Raise SetupError for a group
    without a scale.
    """
    if scales.size == 1:
        return scales.reshape(1, 1)

    outputs, inputs = shape
    scales = scales.reshape(len(scales), -1)
    if len(scales) > 1:
        scales = np.repeat(scales, block.rows, axis=0)[:outputs]
    if scales.shape[1] == 1:
        return scales
    if groups is None:
        return np.repeat(scales, block.columns, axis=1)[:, :inputs]

    if groups.min() < 0 or groups.max() >= scales.shape[1]:
        raise SetupError(
            "the base is quantised, and an input belongs to a group that has no scale; "
            "copy the base again"
        )
    return scales[:, groups]

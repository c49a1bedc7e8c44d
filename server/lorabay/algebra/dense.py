"""What updates change of one weight of the base (or bias, or norm), for those that are no product
by themselves.

The whole weight is in memory in float32, twice at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.dora import output_scale
from lorabay.algebra.updates import Dense, Directional, Gated, LowRank, Replaced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Update
    from lorabay.base.weights import BaseWeights

    Matrix = NDArray[np.float32]


def dense_change(updates: Iterable[Update], weights: BaseWeights, name: str) -> Matrix:
    """W' - W. Raises SetupError when the base cannot be read."""
    # A vector comes in blocks of one column.
    weight: Matrix = np.concatenate([rows for _, rows in weights.blocks(name)]).reshape(
        weights.tensors[name].shape
    )
    changed = weight
    for update in updates:
        changed = _changed(changed, update)
    return np.subtract(changed, weight, dtype=np.float32)


def _changed(weight: Matrix, update: Update) -> Matrix:
    match update:
        case LowRank():
            return weight + _product(update)
        case Directional():
            scale = output_scale(update, [(0, weight)])
            return (weight + _product(update.low_rank)) * scale[:, None]
        case Dense():
            return weight + update.delta()
        case Gated():
            return weight * update.gate()
        case Replaced():
            return update.values()
    raise TypeError(f"{type(update).__name__} has no dense form here")


def _product(update: LowRank) -> Matrix:
    b: Matrix = update.b() * np.float32(update.scale)
    return b @ update.a()

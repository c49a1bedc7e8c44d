"""The experts of a mixture one by one: their products out of one update, and back into one pair.

A is (experts, rank, inputs) and B (experts, outputs, rank). A product of the transpose of a weight
swaps the two. Knows no files and no names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import LowRank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.algebra.updates import ExpertProducts, Load, Matrix


def by_expert(update: ExpertProducts, *, inputs_first: bool) -> list[LowRank]:
    """Return the product of each expert, for matrices that lie as `inputs_first` says.

    With it, B A is the transpose of the change of the stored matrix. Both factors are read here,
    once for all experts.
    """
    a, b = update.a(), update.b()
    if update.inputs_first != inputs_first:
        a, b = b.transpose(0, 2, 1), a.transpose(0, 2, 1)

    return [
        LowRank(_held(one_a), _held(one_b), update.rank, update.scale)
        for one_a, one_b in zip(a, b, strict=True)
    ]


def _held(values: Matrix) -> Load:
    return lambda: np.ascontiguousarray(values)


def stacked(pairs: Sequence[tuple[Matrix, Matrix]]) -> tuple[Matrix, Matrix]:
    """Return A and B of all experts from those of each; zeros fill up smaller ranks."""
    rank = max(a.shape[0] for a, _ in pairs)
    a = [np.pad(one, ((0, rank - one.shape[0]), (0, 0))) for one, _ in pairs]
    b = [np.pad(one, ((0, 0), (0, rank - one.shape[1]))) for _, one in pairs]
    return np.stack(a), np.stack(b)

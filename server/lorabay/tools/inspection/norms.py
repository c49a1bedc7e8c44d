"""Frobenius norms of changes and of base weights, summed in float64.

A low-rank product is measured from small Gram matrices and never built. A change that depends on
the base, or is dense by itself, is built one weight at a time. None means that something cannot be
measured. This module does not know adapter folders.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import (
    Dense,
    ExpertProducts,
    LowRank,
    Replaced,
    ReplacedRows,
    change,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorabay.algebra.updates import Update
    from lorabay.base.weights import BaseWeights

    Updates = tuple[Update, ...]
    Matrix = NDArray[np.float64]


def change_norm(updates: Updates, weights: BaseWeights, name: str) -> float | None:
    """Return ||ΔW|| of the weight `name`."""
    product = _product(updates)
    if product is not None:
        return _product_norm(*product)
    if len(updates) == 1 and isinstance(updates[0], ExpertProducts):
        return _experts_norm(updates[0])

    delta = _dense(updates, weights, name)
    return None if delta is None else _norm(delta)


def distance(one: Updates, two: Updates, weights: BaseWeights, name: str) -> float | None:
    """Return ||ΔW1 - ΔW2|| of the weight `name`."""
    first, second = _product(one), _product(two)
    if first is not None and second is not None:
        # The difference of two products is one product, of both ranks together.
        a = np.vstack([first[0], second[0]])
        b = np.hstack([first[1], -second[1]])
        return _product_norm(a, b)

    first_delta = _dense(one, weights, name)
    second_delta = _dense(two, weights, name)
    if first_delta is None or second_delta is None:
        return None
    return _norm(first_delta - second_delta)


def weight_norm(weights: BaseWeights, name: str) -> float | None:
    """Return ||W|| of the weight `name`."""
    if weights.problem(name):
        return None
    return math.sqrt(sum(_norm(rows) ** 2 for _, rows in weights.blocks(name)))


def _product(updates: Updates) -> tuple[Matrix, Matrix] | None:
    """Return A and the scaled B if the whole change is one product."""
    match updates:
        case (LowRank() as product,):
            return product.a().astype(np.float64), product.b().astype(np.float64) * product.scale
    return None


def _product_norm(a: Matrix, b: Matrix) -> float:
    """Return ||BA||, the root of trace(BᵀB AAᵀ)."""
    # The trace of a tiny product may be rounded to a negative number.
    square = float(((b.T @ b) * (a @ a.T)).sum())
    return math.sqrt(max(square, 0.0))


def _experts_norm(update: ExpertProducts) -> float:
    """Return the norm of the changes of all experts together, one expert at a time."""
    squares = 0.0
    for left, right in zip(*update.factors(), strict=True):
        squares += _product_norm(right.astype(np.float64), left.astype(np.float64)) ** 2
    return math.sqrt(squares)


def _dense(updates: Updates, weights: BaseWeights, name: str) -> NDArray[np.float32] | None:
    """Return ΔW as a matrix.

    None if there is no formula, no value of the base, another shape, or a number that float32
    cannot hold.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        match updates:
            case (LowRank() | ExpertProducts() | Dense() as update,):
                delta = update.delta()
            case _ if _is_measurable(updates, weights, name):
                delta = change(updates, weights.whole(name))
            case _:
                return None
    return delta if np.isfinite(delta).all() else None


def _is_measurable(updates: Updates, weights: BaseWeights, name: str) -> bool:
    if weights.problem(name):
        return False
    if any(isinstance(update, ReplacedRows) or not update.has_formula for update in updates):
        return False

    shape = weights.shape(name)
    replaced = [update for update in updates if isinstance(update, Replaced)]
    return all(update.values().shape == shape for update in replaced)


def _norm(values: NDArray[np.floating]) -> float:
    return math.sqrt(float(np.sum(np.square(values, dtype=np.float64))))

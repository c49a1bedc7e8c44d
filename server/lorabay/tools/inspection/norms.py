"""Frobenius norms of changes and of base weights, summed in float64.

A low-rank product is measured from small Gram matrices and never built. A change that depends on
the base, or is dense by itself, is built one weight at a time. None stands for what cannot be
measured. Knows no adapter folders.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Dense, LowRank, Replaced, ReplacedRows, change

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorabay.algebra.updates import Update
    from lorabay.base.weights import BaseWeights

    Updates = tuple[Update, ...]
    Matrix = NDArray[np.float64]


def change_norm(updates: Updates, weights: BaseWeights, name: str) -> float | None:
    """||ΔW||."""
    if product := _product(updates):
        return _product_norm(*product)
    change = _dense(updates, weights, name)
    return None if change is None else _norm(change)


def distance(one: Updates, two: Updates, weights: BaseWeights, name: str) -> float | None:
    """||ΔW1 - ΔW2||."""
    first, second = _product(one), _product(two)
    if first and second:
        return _product_norm(np.vstack([first[0], second[0]]), np.hstack([first[1], -second[1]]))
    changes = _dense(one, weights, name), _dense(two, weights, name)
    return None if changes[0] is None or changes[1] is None else _norm(changes[0] - changes[1])


def weight_norm(weights: BaseWeights, name: str) -> float | None:
    """||W||."""
    if weights.problem(name):
        return None
    return math.sqrt(sum(_norm(rows) ** 2 for _, rows in weights.blocks(name)))


def _product(updates: Updates) -> tuple[Matrix, Matrix] | None:
    """A and the scaled B, where the whole change is one product."""
    match updates:
        case (LowRank() as product,):
            return product.a().astype(np.float64), product.b().astype(np.float64) * product.scale
    return None


def _product_norm(a: Matrix, b: Matrix) -> float:
    """||BA||, from trace(BᵀB AAᵀ)."""
    return math.sqrt(max(float(((b.T @ b) * (a @ a.T)).sum()), 0.0))


def _dense(updates: Updates, weights: BaseWeights, name: str) -> NDArray[np.float32] | None:
    """ΔW as a matrix, or None: no formula, no value of the base, another shape, or numbers beyond
    float32.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        match updates:
            case (LowRank() | Dense() as update,):
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
    shape = weights.tensors[name].shape
    replaced = [update for update in updates if isinstance(update, Replaced)]
    return all(update.values().shape == shape for update in replaced)


def _norm(values: NDArray[np.floating]) -> float:
    return math.sqrt(float(np.sum(np.square(values, dtype=np.float64))))

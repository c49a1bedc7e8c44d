"""Applies updates to a weight in float64, in the plainest way, as a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import (
    Dense,
    Directional,
    ExpertProducts,
    Gated,
    LowRank,
    Replaced,
    ReplacedRows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Update

    Array = NDArray[np.float64]


def product(update: LowRank) -> Array:
    a, b = update.a().astype(np.float64), update.b().astype(np.float64)
    assert a.shape[0] == b.shape[1] == update.rank
    return update.scale * (b @ a)


def expert_products(update: ExpertProducts) -> Array:
    changes = []
    for a, b in zip(update.a().astype(np.float64), update.b().astype(np.float64), strict=True):
        change = update.scale * (b @ a)
        changes.append(change.T if update.inputs_first else change)
    return np.stack(changes)


def applied(weight: Array, updates: Iterable[Update]) -> Array:
    for update in updates:
        weight = _applied(weight.astype(np.float64), update)
    return weight


def _applied(weight: Array, update: Update) -> Array:
    match update:
        case LowRank() | ExpertProducts():
            is_product = isinstance(update, LowRank)
            return weight + (product(update) if is_product else expert_products(update))
        case Directional():
            moved = weight + product(update.low_rank)
            return (
                moved
                * (update.magnitude().astype(np.float64) / np.linalg.norm(moved, axis=1))[:, None]
            )
        case Dense():
            if update.factors:
                np.testing.assert_allclose(
                    product(update.factors), update.delta(), rtol=1e-5, atol=1e-7
                )
            return weight + update.delta()
        case Gated():
            return weight * update.gate()
        case Replaced():
            return update.values().astype(np.float64)
        case ReplacedRows():
            weight = weight.copy()
            weight[list(update.rows)] = update.values()
            return weight
    raise AssertionError(f"{update} is applied by PEFT")

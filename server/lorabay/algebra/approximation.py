"""Stands products of a smaller rank in for those that are too large for an engine, within an error
that is allowed.

One rank for all modules, the smallest that keeps the error in total; every module is decomposed
twice, so that only one is in memory at a time. The same adapter always gives the same factors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.low_rank import Rule, decompose_dense, decompose_product
from lorabay.algebra.updates import Dense, LowRank
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lorabay.algebra.low_rank import Decomposed
    from lorabay.algebra.updates import Update

    Spectrum = tuple[NDArray[np.float64], float]


@dataclass(frozen=True, slots=True)
class Approximation:
    """Products of at most `rank`, and the share of all updates that they lack (Frobenius)."""

    rank: int
    error: float
    products: Mapping[str, LowRank]


def approximated(
    updates: Mapping[str, Update], max_rank: int, max_error: float
) -> Approximation | Rejected:
    """Every update is a product or dense. Rejected when the largest rank is not enough."""
    spectra: list[Spectrum] = []
    for name, update in updates.items():
        try:
            found = _decomposed(update, max_rank)
        except np.linalg.LinAlgError:
            return rejected(
                [Reason("not_finite", f"what the adapter does to {quoted(name)} is not finite")]
            )
        spectra.append((found.s, found.norm))
    rank = next(
        (rank for rank in range(1, max_rank + 1) if _error(spectra, rank) <= max_error), max_rank
    )
    error = _error(spectra, rank)
    if error > max_error:
        text = f"plain LoRA of rank {max_rank} would lack {error:.1%} of the update; at most {max_error:.1%} is allowed"
        return rejected([Reason("approximate_error", text)])
    cut = _Cut(updates, max_rank, rank)
    return Approximation(rank, error, {name: cut.product(name) for name in updates})


def _error(spectra: Sequence[Spectrum], rank: int) -> float:
    whole = sum(norm**2 for _, norm in spectra)
    kept = sum(float(np.sum(s[:rank] ** 2)) for s, _ in spectra)
    return math.sqrt(max(0.0, whole - kept) / whole) if whole else 0.0


def _decomposed(update: Update, max_rank: int) -> Decomposed:
    """Raises LinAlgError for values that are not finite."""
    match update:
        case LowRank():
            return decompose_product(update)
        case Dense():
            return decompose_dense(update.delta(), Rule(max_rank))
    raise TypeError(f"{type(update).__name__} is neither a product nor dense")


class _Cut:
    """Makes factors again when they are read; keeps those of the last module, whose A and B are
    read in turn.
    """

    def __init__(self, updates: Mapping[str, Update], max_rank: int, rank: int) -> None:
        self._updates = updates
        self._max_rank = max_rank
        self._rank = rank
        self._last: tuple[str, NDArray[np.float32], NDArray[np.float32]] | None = None

    def product(self, name: str) -> LowRank:
        return LowRank(
            lambda: self._factors(name)[1], lambda: self._factors(name)[2], self._rank, 1.0
        )

    def _factors(self, name: str) -> tuple[str, NDArray[np.float32], NDArray[np.float32]]:
        if self._last is None or self._last[0] != name:
            found = _decomposed(self._updates[name], self._max_rank)
            a, b = found.factors(self._rank)
            lacking = self._rank - a.shape[0]
            self._last = (
                name,
                np.pad(a, ((0, lacking), (0, 0))),
                np.pad(b, ((0, 0), (0, lacking))),
            )
        return self._last

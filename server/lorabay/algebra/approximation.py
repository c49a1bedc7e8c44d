"""Approximates updates whose rank is too high for the engine, within an allowed error.

All modules get one rank, the smallest that keeps the total error allowed. Every module is
decomposed twice, so that only one is in memory at a time. The result is deterministic. Knows
nothing of engines or formats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.low_rank import Rule, decompose
from lorabay.algebra.updates import LowRank
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Matrix, Update

    Spectrum = tuple[NDArray[np.float64], float]


@dataclass(frozen=True, slots=True)
class Approximation:
    """Products of at most `rank`, and their relative error in total (Frobenius)."""

    rank: int
    error: float
    products: Mapping[str, LowRank]


def approximated(
    updates: Mapping[str, Update], max_rank: int, max_error: float
) -> Approximation | Rejected:
    """Return the best products for `updates`, each of which is low-rank or dense.

    Rejected when even `max_rank` leaves an error above `max_error`, or a value is not finite.
    """
    # The first pass keeps singular values only; they decide the rank.
    spectra: list[Spectrum] = []
    for name, update in updates.items():
        try:
            decomposed = decompose(update, Rule(max_rank))
        except np.linalg.LinAlgError:
            text = f"what the adapter does to {quoted(name)} is not finite"
            return rejected([Reason("not_finite", text)])
        spectra.append((decomposed.s, decomposed.norm))

    ranks = range(1, max_rank + 1)
    rank = next((rank for rank in ranks if _error(spectra, rank) <= max_error), max_rank)
    error = _error(spectra, rank)
    if error > max_error:
        text = (
            f"plain LoRA of rank {max_rank} would lack {error:.1%} of the update; "
            f"at most {max_error:.1%} is allowed"
        )
        return rejected([Reason("approximate_error", text)])

    # The second pass happens when the factors are read.
    cut = _Cut(updates, max_rank, rank)
    return Approximation(rank, error, {name: cut.product(name) for name in updates})


def _error(spectra: Sequence[Spectrum], rank: int) -> float:
    total = sum(norm**2 for _, norm in spectra)
    kept = sum(float(np.sum(s[:rank] ** 2)) for s, _ in spectra)
    return math.sqrt(max(0.0, total - kept) / total) if total else 0.0


class _Cut:
    """Computes factors when they are read, and keeps those of the last module only.

    A and B of one module are read in turn, so each module is decomposed once more.
    """

    def __init__(self, updates: Mapping[str, Update], max_rank: int, rank: int) -> None:
        self._updates = updates
        self._max_rank = max_rank
        self._rank = rank
        self._last: tuple[str, Matrix, Matrix] | None = None

    def product(self, name: str) -> LowRank:
        """Return the product for one update, of exactly the common rank; nothing is computed."""
        return LowRank(
            lambda: self._factors(name)[1], lambda: self._factors(name)[2], self._rank, 1.0
        )

    def _factors(self, name: str) -> tuple[str, Matrix, Matrix]:
        if self._last is None or self._last[0] != name:
            a, b = decompose(self._updates[name], Rule(self._max_rank)).factors(self._rank)
            lacking = self._rank - a.shape[0]
            self._last = (
                name,
                np.pad(a, ((0, lacking), (0, 0))),
                np.pad(b, ((0, 0), (0, lacking))),
            )
        return self._last

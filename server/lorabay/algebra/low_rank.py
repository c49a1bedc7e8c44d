"""The best product of a given rank for a change of one weight, and its error.

By Eckart and Young (1936) that product is the truncated SVD. A product is decomposed through the QR
of its factors and never built. A dense matrix is decomposed by its SVD, or from a random sketch of
its range (Halko et al. 2011) where a small rank is enough. The error is exact: the kept part is
orthogonal to the rest. Values that are not finite raise LinAlgError. Knows nothing of adapters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Dense, LowRank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorabay.algebra.updates import Matrix, Update

_OVERSAMPLE = 8
_POWER_STEPS = 3
_FIRST_SKETCH = 64


@dataclass(frozen=True, slots=True)
class Rule:
    """How much of a module's change to keep.

    `rank` is the largest rank (None for any); `energy` is the share of the squared norm to reach.
    """

    rank: int | None = None
    energy: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Decomposed:
    """A change D as U diag(s) V with the largest values first, possibly cut short.

    `norm` is the Frobenius norm of the complete D.
    """

    u: Matrix
    s: NDArray[np.float64]
    v: Matrix
    norm: float

    def rank_for(self, rule: Rule) -> int:
        """Return the smallest rank that satisfies `rule`, at least 1."""
        kept = np.cumsum(self.s**2)
        enough = int(np.searchsorted(kept, rule.energy * self.norm**2 * (1 - 1e-9))) + 1
        return max(1, min(enough, len(self.s), rule.rank or len(self.s)))

    def residual(self, rank: int) -> float:
        """Return the norm of D minus its best product of `rank`; 0 if only rounding is left."""
        # The kept part is orthogonal to the rest, so the squares subtract.
        lacking = self.norm**2 - float(np.sum(self.s[:rank] ** 2))
        return float(np.sqrt(lacking)) if lacking > 1e-12 * self.norm**2 else 0.0

    def factors(self, rank: int) -> tuple[Matrix, Matrix]:
        """Return A (rank, inputs) and B (outputs, rank), with the singular values split evenly."""
        root = np.sqrt(self.s[:rank]).astype(np.float32)
        a = np.ascontiguousarray(self.v[:rank] * root[:, None])
        b = np.ascontiguousarray(self.u[:, :rank] * root)
        return a, b


def decompose(update: Update, rule: Rule) -> Decomposed:
    """Decompose an update whose change does not depend on the base, as far as `rule` needs.

    Raises LinAlgError for values that are not finite, TypeError for other kinds of update.
    """
    match update:
        case LowRank():
            return decompose_product(update)
        case Dense():
            return decompose_dense(update.delta(), rule)
    raise TypeError(f"{type(update).__name__} is neither a product nor dense")


def decompose_product(product: LowRank) -> Decomposed:
    """Decompose B A completely, in time linear in the size of the weight."""
    b, a = product.b(), product.a()
    _check(b, a)
    # A rank beyond the sides of the matrix makes the factors larger than their product.
    if min(b.shape[0], a.shape[1]) <= product.rank:
        return _svd(b @ a * np.float32(product.scale))

    left, left_core = np.linalg.qr(b)
    right, right_core = np.linalg.qr(a.T)
    # The core is as small as the rank, so its SVD in float64 is cheap.
    core = left_core.astype(np.float64) @ right_core.astype(np.float64).T * product.scale
    u, s, v = np.linalg.svd(core)

    norm = float(np.sqrt(np.sum(s**2)))
    return Decomposed(left @ u.astype(np.float32), s, v.astype(np.float32) @ right.T, norm)


def decompose_dense(delta: Matrix, rule: Rule) -> Decomposed:
    """Decompose a matrix as far as `rule` needs."""
    _check(delta)
    smallest = min(delta.shape)
    norm = float(np.sqrt(np.einsum("ij,ij->", delta, delta, dtype=np.float64)))

    # A sketch pays only while it is much smaller than the matrix.
    size = rule.rank or _FIRST_SKETCH
    while size + _OVERSAMPLE < smallest // 3:
        sketched = _sketched(delta, size, norm)
        if rule.rank or float(np.sum(sketched.s**2)) >= rule.energy * norm**2:
            return sketched
        size *= 2

    return _svd(delta)


def _svd(delta: Matrix) -> Decomposed:
    u, s, v = np.linalg.svd(delta, full_matrices=False)
    exact = s.astype(np.float64)
    return Decomposed(u, exact, v, float(np.sqrt(np.sum(exact**2))))


def _sketched(delta: Matrix, size: int, norm: float) -> Decomposed:
    """Return the largest `size` components."""
    # The seed is fixed: a version's digest must not change from run to run.
    width = size + _OVERSAMPLE
    sketch = np.random.default_rng(0).standard_normal((delta.shape[1], width), np.float32)
    basis, _ = np.linalg.qr(delta @ sketch)

    # Power steps sharpen the basis where singular values fall slowly.
    for _ in range(_POWER_STEPS):
        back, _ = np.linalg.qr(delta.T @ basis)
        basis, _ = np.linalg.qr(delta @ back)

    u, s, v = np.linalg.svd(basis.T @ delta, full_matrices=False)
    return Decomposed((basis @ u)[:, :size], s[:size].astype(np.float64), v[:size], norm)


def _check(*matrices: Matrix) -> None:
    if not all(np.isfinite(matrix).all() for matrix in matrices):
        raise np.linalg.LinAlgError("values that are not finite")

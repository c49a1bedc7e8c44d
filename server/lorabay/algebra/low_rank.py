"""The best product of a given rank for a change of one weight, and what it lacks (Eckart and Young
1936).

A change that is a product is decomposed through the QR of its factors and never built; a dense one
through its SVD, or through a random sketch of its range (Halko et al. 2011) where a small rank is
enough. Errors are exact: what is kept is orthogonal to what is not. Values that are not finite
raise LinAlgError. Knows nothing of adapters or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorabay.algebra.updates import LowRank

    Matrix = NDArray[np.float32]

_OVERSAMPLE = 8
_POWER_STEPS = 3
_FIRST_SKETCH = 64


@dataclass(frozen=True, slots=True)
class Rule:
    """How much to keep of each module: at most `rank`, and no more than this share of the squared
    norm (`energy`).
    """

    rank: int | None = None
    energy: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Decomposed:
    """A change D as U diag(s) V, largest first, maybe not to its end. `norm` is that of all of D
    (Frobenius).
    """

    u: Matrix
    s: NDArray[np.float64]
    v: Matrix
    norm: float

    def rank_for(self, rule: Rule) -> int:
        """The smallest rank that satisfies `rule`, at least 1."""
        kept = np.cumsum(self.s**2)
        enough = int(np.searchsorted(kept, rule.energy * self.norm**2 * (1 - 1e-9))) + 1
        return max(1, min(enough, len(self.s), rule.rank or len(self.s)))

    def residual(self, rank: int) -> float:
        """The norm of what the best product of `rank` lacks; 0 where only rounding is left."""
        lacking = self.norm**2 - float(np.sum(self.s[:rank] ** 2))
        return float(np.sqrt(lacking)) if lacking > 1e-12 * self.norm**2 else 0.0

    def factors(self, rank: int) -> tuple[Matrix, Matrix]:
        """A (rank, inputs) and B (outputs, rank) with the scale shared between them."""
        root = np.sqrt(self.s[:rank]).astype(np.float32)
        return np.ascontiguousarray(self.v[:rank] * root[:, None]), np.ascontiguousarray(
            self.u[:, :rank] * root
        )


def decompose_product(product: LowRank) -> Decomposed:
    """The whole decomposition, in time linear in the size of the weight."""
    b, a = product.b(), product.a()
    _check(b, a)
    if min(b.shape[0], a.shape[1]) <= product.rank:
        return _whole(b @ a * np.float32(product.scale))
    left, left_core = np.linalg.qr(b)
    right, right_core = np.linalg.qr(a.T)
    core = left_core.astype(np.float64) @ right_core.astype(np.float64).T * product.scale
    u, s, v = np.linalg.svd(core)
    return Decomposed(
        left @ u.astype(np.float32), s, v.astype(np.float32) @ right.T, float(np.sqrt(np.sum(s**2)))
    )


def decompose_dense(delta: Matrix, rule: Rule) -> Decomposed:
    """As far as `rule` needs."""
    _check(delta)
    smallest = min(delta.shape)
    norm = float(np.sqrt(np.einsum("ij,ij->", delta, delta, dtype=np.float64)))
    size = rule.rank or _FIRST_SKETCH
    while size + _OVERSAMPLE < smallest // 3:
        found = _sketched(delta, size, norm)
        if rule.rank or float(np.sum(found.s**2)) >= rule.energy * norm**2:
            return found
        size *= 2
    return _whole(delta)


def _whole(delta: Matrix) -> Decomposed:
    u, s, v = np.linalg.svd(delta, full_matrices=False)
    exact = s.astype(np.float64)
    return Decomposed(u, exact, v, float(np.sqrt(np.sum(exact**2))))


def _sketched(delta: Matrix, size: int, norm: float) -> Decomposed:
    """The largest `size` components; the sketch is the same each time, so that a version's digest
    is.
    """
    width = size + _OVERSAMPLE
    sketch = np.random.default_rng(0).standard_normal((delta.shape[1], width), np.float32)
    basis, _ = np.linalg.qr(delta @ sketch)
    for _ in range(_POWER_STEPS):
        back, _ = np.linalg.qr(delta.T @ basis)
        basis, _ = np.linalg.qr(delta @ back)
    u, s, v = np.linalg.svd(basis.T @ delta, full_matrices=False)
    return Decomposed((basis @ u)[:, :size], s[:size].astype(np.float64), v[:size], norm)


def _check(*matrices: Matrix) -> None:
    if not all(np.isfinite(matrix).all() for matrix in matrices):
        raise np.linalg.LinAlgError("values that are not finite")

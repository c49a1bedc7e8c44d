"""What an adapter does to one weight of the base, as a product: exact, or the best of a rank.

The experts of a mixture that are one tensor of the base get products of one rank, that of the
expert that needs the most: PEFT's pair for all experts has room for no other. Knows no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.expert_products import by_expert, stacked
from lorabay.algebra.low_rank import Rule, decompose, decompose_dense, decompose_product
from lorabay.algebra.updates import Dense, ExpertProducts, LowRank, change
from lorabay.catalog.admission import ALLOWED_RANKS
from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.algebra.low_rank import Decomposed
    from lorabay.algebra.updates import Matrix, Update
    from lorabay.base.weights import BaseWeights

DEFAULT_ENERGY = 0.99

_LARGEST_RANK = ALLOWED_RANKS[-1]


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """The factors of one weight, or of all experts of one tensor, with the scale folded into B.

    `lacking` is the squared norm of what the product lacks, and `total` computes that of the whole
    change: reading exact factors again is worth its time only beside something that is cut.
    """

    a: Matrix
    b: Matrix
    rank: int
    total: Callable[[], float]
    lacking: float = 0.0

    @property
    def error(self) -> float:
        """Norm of what is lacking, over the norm of the change."""
        return math.sqrt(self.lacking / self.total()) if self.lacking else 0.0


def experts_of(updates: tuple[Update, ...]) -> ExpertProducts | None:
    """Return the change of a tensor of all experts, if the updates are that alone."""
    match updates:
        case (ExpertProducts() as experts,):
            return experts
    return None


def converted_weight(
    name: str, updates: tuple[Update, ...], weights: BaseWeights, rule: Rule | None
) -> Converted:
    """Return what `updates` do to the tensor `name`, cut as `rule` says; None keeps what is exact.

    Raises SetupError for values that are not finite, and for weights of the base that cannot be
    read where the change depends on them.
    """
    experts = experts_of(updates)
    try:
        if experts is not None:
            return _converted_experts(experts, rule)
        return _converted_matrix(name, updates, weights, rule)
    except np.linalg.LinAlgError as error:
        raise SetupError(f"what the adapter does to {quoted(name)} is not finite") from error


def _converted_experts(update: ExpertProducts, rule: Rule | None) -> Converted:
    products = by_expert(update, inputs_first=update.inputs_first)
    if _may_stay(update.rank, rule):
        a, b = stacked([(one.a(), one.b() * np.float32(one.scale)) for one in products])
        return Converted(a, b, update.rank, partial(_norm_of_experts, update))

    decomposed = [decompose_product(one) for one in products]
    rank = max(one.rank_for(_cut(rule)) for one in decomposed)
    a, b = stacked([one.factors(rank) for one in decomposed])
    lacking = sum(one.residual(rank) ** 2 for one in decomposed)
    total = sum(one.norm**2 for one in decomposed)
    return Converted(a, b, a.shape[1], lambda: total, lacking)


def _converted_matrix(
    name: str, updates: tuple[Update, ...], weights: BaseWeights, rule: Rule | None
) -> Converted:
    product = _product(name, updates, weights)
    if product is not None and _may_stay(product.rank, rule):
        b = product.b() * np.float32(product.scale)
        return Converted(product.a(), b, product.rank, partial(_squared_norm, product))

    decomposed = _decomposed(name, updates, weights, rule)
    a, b = decomposed.factors(decomposed.rank_for(_cut(rule)))
    total = decomposed.norm**2
    return Converted(a, b, a.shape[0], lambda: total, decomposed.residual(a.shape[0]) ** 2)


def _norm_of_experts(update: ExpertProducts) -> float:
    return sum(map(_squared_norm, by_expert(update, inputs_first=update.inputs_first)))


def _squared_norm(product: LowRank) -> float:
    """Return the squared Frobenius norm of the product, which is not built."""
    a = product.a()
    b = product.b() * np.float32(product.scale)
    # Summed in float64: the norms of all modules are added up.
    inner = (b.T @ b).astype(np.float64) * (a @ a.T).astype(np.float64)
    return max(float(inner.sum()), 0.0)


def _may_stay(rank: int, rule: Rule | None) -> bool:
    """Return whether an exact product of `rank` is what `rule` asks for."""
    if rank > _LARGEST_RANK:
        return False
    return rule is None or (rule.energy == 1.0 and rank <= (rule.rank or 0))


def _cut(rule: Rule | None) -> Rule:
    return rule or Rule(_LARGEST_RANK, DEFAULT_ENERGY)


def _product(name: str, updates: tuple[Update, ...], weights: BaseWeights) -> LowRank | None:
    """Return the exact product that the updates are, if an engine serves its rank."""
    if len(updates) != 1:
        return None

    product = updates[0].as_product()
    if product is None or product.rank > _LARGEST_RANK:
        return None
    if product is updates[0] or _is_smaller(product, weights, name):
        return product
    return None


def _is_smaller(product: LowRank, weights: BaseWeights, name: str) -> bool:
    """Return whether the rank is at most the smaller side of the weight, if that is known."""
    shape = weights.shape(name)
    return shape is None or product.rank <= min(shape)


def _decomposed(
    name: str, updates: tuple[Update, ...], weights: BaseWeights, rule: Rule | None
) -> Decomposed:
    """Decompose the change of one weight as far as `rule` needs."""
    rule = rule or Rule(energy=DEFAULT_ENERGY)
    product = _product(name, updates, weights)
    if product is not None:
        return decompose_product(product)
    if len(updates) == 1 and isinstance(updates[0], LowRank | Dense):
        return decompose(updates[0], rule)

    problem = weights.problem(name)
    if problem:
        raise SetupError(f"what the adapter does depends on the base: {problem}")
    return decompose_dense(change(updates, weights.whole(name)), rule)

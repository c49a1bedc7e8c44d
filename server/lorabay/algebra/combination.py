"""Combines the products of several adapters on one module, as PEFT's `add_weighted_adapter` does.

- `cat` stacks the factors and is exact; `svd` is the best product of a rank for the weighted sum.
- The other methods combine A with A and B with B. Each member is multiplied by the root of its
  weight and scale; the sign goes to A. `linear` adds. `ties` (Yadav et al. 2023) keeps the largest
  values of each member, and of those the ones that agree with the majority's sign.
  `magnitude_prune` keeps the largest values only.
- `dare` (Yu et al. 2023) drops values at random and scales the rest up. The seed, the module and
  the member alone decide which values are dropped.

The result's scale is 1. Knows nothing of composite files or adapter folders.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lorabay.algebra.expert_products import by_expert, stacked
from lorabay.algebra.low_rank import decompose_product
from lorabay.algebra.updates import LowRank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lorabay.algebra.updates import ExpertProducts, Matrix

    Mask = NDArray[np.bool_]

MethodName = Literal["linear", "cat", "svd", "ties", "dare_linear", "dare_ties", "magnitude_prune"]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to combine.

    `density` is the share of values that pruning or dropping keeps. `majority_sign` says whether
    `ties` compares with the sign of the sum or of most members. `seed` is for the `dare` methods.
    """

    name: MethodName
    density: float = 1.0
    majority_sign: Literal["total", "frequency"] = "total"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """The product of one member on the module; `member` is its index in the list of members."""

    member: int
    weight: float
    product: LowRank

    @property
    def scale(self) -> float:
        return self.weight * self.product.scale


def combine(method: Method, module: str, parts: Sequence[Part], rank: int) -> tuple[Matrix, Matrix]:
    """Return A and B of all `parts` together; `rank` is the rank of `svd`.

    Factors have the orientation in which PEFT stores them: some methods treat A and B differently.
    Raises LinAlgError when `svd` meets values that are not finite.
    """
    if method.name == "cat":
        return _stacked(parts)

    if method.name == "svd":
        a, b = _stacked(parts)
        # The stacked factors are the weighted sum already; it remains to cut its rank.
        decomposed = decompose_product(LowRank(lambda: a, lambda: b, a.shape[0], 1.0))
        return decomposed.factors(min(rank, len(decomposed.s)))

    # A and B are summed apart, so each takes the root of the scale, and A takes its sign.
    roots = [math.sqrt(abs(part.scale)) for part in parts]
    signed = [root if part.scale >= 0 else -root for root, part in zip(roots, parts, strict=True)]
    a = _summed(method, [part.product.a() for part in parts], signed, _Draw(module, "A", parts))
    b = _summed(method, [part.product.b() for part in parts], roots, _Draw(module, "B", parts))
    return a, b


@dataclass(frozen=True, slots=True)
class ExpertPart:
    """What one member does to all experts of one tensor; `member` is its index in the list."""

    member: int
    weight: float
    update: ExpertProducts


def combine_experts(
    method: Method, tensor: str, parts: Sequence[ExpertPart], rank: int
) -> tuple[Matrix, Matrix]:
    """Return A (experts, rank, inputs) and B (experts, outputs, rank) of all `parts` together.

    Experts are combined one by one, as modules are. All have the first member's orientation.
    """
    inputs_first = parts[0].update.inputs_first
    by_member = [by_expert(part.update, inputs_first=inputs_first) for part in parts]

    pairs: list[tuple[Matrix, Matrix]] = []
    for number, products in enumerate(zip(*by_member, strict=True)):
        of_expert = [
            Part(part.member, part.weight, product)
            for part, product in zip(parts, products, strict=True)
        ]
        pairs.append(combine(method, f"{tensor}[{number}]", of_expert, rank))
    return stacked(pairs)


def kept_at_random(
    seed: int, module: str, member: int, factor: str, shape: tuple[int, ...], density: float
) -> Mask:
    """Return the mask of a `dare` method for one factor of one member on one module."""
    # A generator of its own for each factor: the order of modules must not matter.
    text = hashlib.sha256(f"{seed} {module} {member} {factor}".encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(text[:16], "little")))
    return random.random(shape) < density


@dataclass(frozen=True, slots=True)
class _Draw:
    """What, beside the seed, decides which values `dare` keeps of one factor of each member."""

    module: str
    factor: str
    parts: Sequence[Part]

    def dropped(self, method: Method, index: int, factor: Matrix) -> Matrix:
        """Return `factor` with values dropped at random and the rest scaled up."""
        member = self.parts[index].member
        kept = kept_at_random(
            method.seed, self.module, member, self.factor, factor.shape, method.density
        )
        return np.where(kept, factor / np.float32(method.density), np.float32(0))


def _stacked(parts: Sequence[Part]) -> tuple[Matrix, Matrix]:
    """Return the weighted sum as one product, with weights and scales in A."""
    a = np.concatenate([part.product.a() * np.float32(part.scale) for part in parts])
    b = np.concatenate([part.product.b() for part in parts], axis=1)
    return a, b


def _summed(
    method: Method, factors: Sequence[Matrix], weights: Sequence[float], draw: _Draw
) -> Matrix:
    """Return one factor of the result from that factor of every member."""
    if method.density < 1 and method.name.startswith("dare"):
        factors = [draw.dropped(method, index, factor) for index, factor in enumerate(factors)]
    elif method.density < 1 and method.name != "linear":
        factors = [_largest(factor, method.density) for factor in factors]

    stack = np.stack(factors)
    weighted = stack * np.asarray(weights, np.float32)[:, None, None]
    if not method.name.endswith("ties"):
        return np.asarray(weighted.sum(axis=0), np.float32)

    # Only members that agree with the majority's sign count, as a mean over those.
    agree = _agreeing(stack, by_count=method.majority_sign == "frequency")
    total = (weighted * agree).sum(axis=0)
    return np.asarray(total / np.maximum(agree.sum(axis=0), 1), np.float32)


def _largest(factor: Matrix, density: float) -> Matrix:
    """Return `factor` with all but its largest values set to zero."""
    count = int(density * factor.size)
    kept = np.zeros(factor.size, bool)
    if count:
        kept[np.argpartition(-np.abs(factor).ravel(), count - 1)[:count]] = True
    return np.where(kept.reshape(factor.shape), factor, np.float32(0))


def _agreeing(stack: Matrix, *, by_count: bool) -> Mask:
    """Return where a member's sign is that of the sum, or of most members. Zeros never agree."""
    signs = np.sign(stack)
    majority = np.where((signs if by_count else stack).sum(axis=0) >= 0, 1, -1)
    agree: Mask = signs == majority
    return agree

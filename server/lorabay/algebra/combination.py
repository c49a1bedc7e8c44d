"""Combines the products of several adapters on one module into one, as PEFT's
`add_weighted_adapter` does.

`cat` stacks the factors and is exact; `svd` gives the best product of a rank for the weighted sum.
The others combine A with A and B with B, each member multiplied by the root of its weight and
scale, the sign on A: `linear` adds, `ties` (Yadav et al. 2023) keeps each member's largest values
and of those the ones that agree with the majority's sign, `magnitude_prune` only keeps the largest,
and `dare` (Yu et al. 2023) drops values at random and scales the rest up. What is dropped depends
on the seed, the module and the member alone. The product's scale is 1.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.low_rank import decompose_product
from lorabay.algebra.updates import LowRank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lorabay.catalog.composite import Composite

    Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """What one member does to the module. `member` is its place in the list of members."""

    member: int
    weight: float
    product: LowRank


def combine(
    composite: Composite, module: str, parts: Sequence[Part], rank: int
) -> tuple[Matrix, Matrix]:
    """A and B of all `parts` together, with A and B as PEFT stores them; `rank` is that of
    `svd`.
    """
    match composite.method:
        case "cat":
            return _stacked(parts)
        case "svd":
            a, b = _stacked(parts)
            found = decompose_product(LowRank(lambda: a, lambda: b, a.shape[0], 1.0))
            return found.factors(min(rank, len(found.s)))
    roots = [math.sqrt(abs(part.weight * part.product.scale)) for part in parts]
    signs = [1.0 if part.weight * part.product.scale >= 0 else -1.0 for part in parts]
    sides = (
        (
            [part.product.a() for part in parts],
            [root * sign for root, sign in zip(roots, signs, strict=True)],
        ),
        ([part.product.b() for part in parts], roots),
    )
    a, b = (
        _together(composite, tensors, weights, _Draw(composite.seed, module, side, parts))
        for side, (tensors, weights) in enumerate(sides)
    )
    return a, b


def _stacked(parts: Sequence[Part]) -> tuple[Matrix, Matrix]:
    a = np.concatenate(
        [part.product.a() * np.float32(part.weight * part.product.scale) for part in parts]
    )
    return a, np.concatenate([part.product.b() for part in parts], axis=1)


@dataclass(frozen=True, slots=True)
class _Draw:
    """Which values of each member's tensor are kept at random."""

    seed: int
    module: str
    side: int
    parts: Sequence[Part]

    def mask(self, index: int, shape: tuple[int, ...], density: float) -> NDArray[np.bool_]:
        return kept_at_random(
            self.seed, self.module, self.parts[index].member, "AB"[self.side], shape, density
        )


def kept_at_random(
    seed: int, module: str, member: int, factor: str, shape: tuple[int, ...], density: float
) -> NDArray[np.bool_]:
    """The mask of a `dare` method for one factor of one member on one module."""
    text = hashlib.sha256(f"{seed} {module} {member} {factor}".encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(text[:16], "little")))
    return random.random(shape) < density


def _together(
    composite: Composite, tensors: Sequence[Matrix], weights: Sequence[float], draw: _Draw
) -> Matrix:
    method = composite.method
    density = 1.0 if composite.density is None else composite.density
    if density < 1:
        if method.startswith("dare"):
            tensors = [
                np.where(
                    draw.mask(index, tensor.shape, density),
                    tensor / np.float32(density),
                    np.float32(0),
                )
                for index, tensor in enumerate(tensors)
            ]
        elif method != "linear":
            tensors = [_largest(tensor, density) for tensor in tensors]
    stack = np.stack(tensors)
    weighted = stack * np.asarray(weights, np.float32)[:, None, None]
    if not method.endswith("ties"):
        return np.asarray(weighted.sum(axis=0), np.float32)
    agree = _agreeing(stack, by_count=composite.majority_sign_method == "frequency")
    return np.asarray((weighted * agree).sum(axis=0) / np.maximum(agree.sum(axis=0), 1), np.float32)


def _largest(tensor: Matrix, density: float) -> Matrix:
    count = int(density * tensor.size)
    kept = np.zeros(tensor.size, bool)
    if count:
        kept[np.argpartition(-np.abs(tensor).ravel(), count - 1)[:count]] = True
    return np.where(kept.reshape(tensor.shape), tensor, np.float32(0))


def _agreeing(stack: NDArray[np.float32], *, by_count: bool) -> NDArray[np.bool_]:
    """Where a member's sign is that of the sum of all, or of most of them; zeros agree with
    nobody.
    """
    signs = np.sign(stack)
    majority = np.where((signs if by_count else stack).sum(axis=0) >= 0, 1, -1)
    agree: NDArray[np.bool_] = signs == majority
    return agree

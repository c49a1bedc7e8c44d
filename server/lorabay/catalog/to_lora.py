"""Adapters that are not stored as plain LoRA but are exactly one, some with a factor on each output
beside it.

AdaLoRA and VeRA are products already, LoHa and LoKr where their rank is small, and DoRA is a
product and a factor that the base's weights give. New factors are kept in float32, so that the
engine's dtype is the only rounding. What has too large a rank may be approximated, with the error
that is allowed; that alone reads and computes everything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.approximation import approximated
from lorabay.algebra.dora import output_scale
from lorabay.algebra.updates import Dense, Directional, LowRank
from lorabay.base.shapes import is_embedding
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Unreadable
from lorabay.files.tensors import from_float32
from lorabay.formats.interface import Draft, LoraPair, Output, Updates
from lorabay.formats.modules_to_save import whole_tensors
from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Load, Update
    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.base.weights import BaseWeights
    from lorabay.formats.interface import Source, UpdateFormat

_HEAD = "lm_head"


@dataclass(frozen=True, slots=True)
class Means:
    """What a conversion may use: the largest rank, the base's weights (without them there is no
    DoRA), and the largest relative error of an approximation, 0 for none."""

    max_rank: int
    weights: BaseWeights | None = None
    approximate_error: float = 0.0


def converted(
    peft_format: UpdateFormat, source: Source, base: BaseShapes, means: Means
) -> Draft | Rejected:
    """The adapter as plain LoRA, or every reason why it is none."""
    found = peft_format.updates(source, base)
    if isinstance(found, Rejected):
        whole = whole_tensors(source, base).updates
        told = (
            Reason("modules_to_save", f"{quoted(name)} is retrained as a whole; merge it")
            for name in whole
        )
        return rejected([*found.reasons, *told])
    if not found.by_tensor:
        return rejected([Reason("no_effect", "no module of the adapter has any rank left")])
    try:
        reasons = [
            r
            for name, (update,) in found.by_tensor.items()
            for r in _problems(name, update, means.weights)
        ]
        return rejected(reasons) if reasons else _fitted(found, base, means)
    except Unreadable as problem:
        return rejected([problem.reason])


def _problems(name: str, update: Update, weights: BaseWeights | None) -> Iterator[Reason]:
    module = name.removesuffix(".weight")
    match update:
        case LowRank() | Dense(factors=LowRank()):
            return
        case Directional() if not (_is_head(module) or is_embedding(module)):
            if weights is None:
                yield Reason(
                    "dora",
                    "DoRA is served only where the engine scales outputs; merge it into the base",
                )
            elif problem := weights.problem(name):
                yield Reason(
                    "quantised_base",
                    f"DoRA needs the base's dense weight: {problem}; merge the adapter",
                )
            magnitude = update.magnitude()
            if not (np.isfinite(magnitude) & (magnitude > 0)).all():
                yield Reason(
                    "magnitude",
                    f"DoRA's magnitudes of {quoted(module)} are not all positive numbers",
                )
        case _:
            yield Reason(
                "module",
                f"what the adapter does to {quoted(name)} is not served; merge it into the base",
            )


def _is_head(module: str) -> bool:
    return module.rpartition(".")[2] == _HEAD


def _fitted(found: Updates, base: BaseShapes, means: Means) -> Draft | Rejected:
    products = {name: _product(update) for name, (update,) in found.by_tensor.items()}
    updates = {name: update for name, (update,) in found.by_tensor.items()}
    fits = max(product.rank for product in products.values()) <= means.max_rank
    if (
        fits
        or not means.approximate_error
        or any(isinstance(update, Directional) for update in updates.values())
    ):
        return _draft(found, products, base, means.weights)
    best = approximated(updates, means.max_rank, means.approximate_error)
    if isinstance(best, Rejected):
        return best
    note = f"approximate: as plain LoRA of rank {best.rank} it lacks {best.error:.2%} of the adapter's update"
    draft = _draft(found, best.products, base, means.weights)
    return replace(draft, approximate=best.error, warnings=(*draft.warnings, note))


def _draft(
    found: Updates, products: Mapping[str, LowRank], base: BaseShapes, weights: BaseWeights | None
) -> Draft:
    rank = max(product.rank for product in products.values())
    pairs: list[LoraPair] = []
    scales: list[Output] = []
    for name, (update,) in found.by_tensor.items():
        module, product = name.removesuffix(".weight"), products[name]
        if base.is_conv1d(module):
            product = product.transposed
        shape = base.layer_shape(module) or (product.b().shape[0], product.a().shape[1])
        factor = None
        if isinstance(update, Directional) and weights is not None:
            factor = cache(partial(_scale, update, weights, name))
            scales.append(_output(f"{module}.scale", (shape[0],), factor))
        pairs.append(_pair(module, product, factor, shape, rank))
    return Draft(
        found.format,
        rank,
        float(rank),
        False,
        found.alpha,
        tuple(pairs),
        found.warnings,
        tuple(scales),
    )


def _product(update: Update) -> LowRank:
    match update:
        case (
            Dense(factors=LowRank() as product)
            | Directional(low_rank=product)
            | (LowRank() as product)
        ):
            return product
    raise TypeError(f"{type(update).__name__} is no product")


def _scale(update: Directional, weights: BaseWeights, name: str) -> NDArray[np.float32]:
    try:
        return output_scale(update, weights.blocks(name))
    except SetupError as error:
        raise Unreadable("base_unreadable", error.message) from error


def _pair(module: str, product: LowRank, factor: Load | None, shape: Shape, rank: int) -> LoraPair:
    """With the scale, and DoRA's factor, in B; a smaller rank is filled up with zeros, which add
    nothing.
    """

    def a() -> NDArray[np.float32]:
        return np.pad(product.a(), ((0, rank - product.rank), (0, 0)))

    def b() -> NDArray[np.float32]:
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # what is not finite is told when it is measured
            scaled = product.b() * np.float32(product.scale)
            if factor is not None:
                scaled *= factor()[:, None]
        return np.pad(scaled, ((0, 0), (0, rank - product.rank)))

    name = PREFIX + module
    return LoraPair(
        module,
        _output(f"{name}.lora_A.weight", (rank, shape[1]), a),
        _output(f"{name}.lora_B.weight", (shape[0], rank), b),
    )


def _output(name: str, shape: tuple[int, ...], load: Load) -> Output:
    return Output(name, "F32", shape, lambda: from_float32(np.ascontiguousarray(load()), "F32"))

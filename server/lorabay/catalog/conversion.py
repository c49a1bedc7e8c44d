"""Adapters that are not stored as plain LoRA but are exactly one, some with a factor on each output beside it.

AdaLoRA and VeRA are products already, LoHa and LoKr where their rank is small, and DoRA is a product and a factor
that the base's weights give. New factors are kept in float32, so that the engine's dtype is the only rounding.
Reads no values but DoRA's magnitudes. Knows nothing of the engine.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.catalog.base_shapes import is_embedding
from lorabay.catalog.directions import output_scale
from lorabay.catalog.folder import Unreadable
from lorabay.catalog.formats.base import Draft, LoraPair, Output, Updates
from lorabay.catalog.module_tensors import PREFIX
from lorabay.catalog.spec import Reason, Rejected, quoted, rejected
from lorabay.catalog.tensors import from_float32
from lorabay.catalog.updates import Dense, Directional, LowRank
from lorabay.catalog.whole_tensors import whole_tensors
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lorabay.catalog.base_shapes import BaseShapes, Shape
    from lorabay.catalog.base_weights import BaseWeights
    from lorabay.catalog.formats.base import Source, UpdateFormat
    from lorabay.catalog.updates import Load, Update

_HEAD = "lm_head"


def converted(
    peft_format: UpdateFormat, source: Source, base: BaseShapes, weights: BaseWeights | None
) -> Draft | Rejected:
    """The adapter as plain LoRA, or every reason why it is none. Without `weights` there is no DoRA."""
    found = peft_format.updates(source, base)
    if isinstance(found, Rejected):
        whole = whole_tensors(source, base).updates
        told = (Reason("modules_to_save", f"{quoted(name)} is retrained as a whole; merge it") for name in whole)
        return rejected([*found.reasons, *told])
    if not found.by_tensor:
        return rejected([Reason("no_effect", "no module of the adapter has any rank left")])
    try:
        reasons = [reason for name in found.by_tensor for reason in _problems(name, found.by_tensor[name][0], weights)]
        return rejected(reasons) if reasons else _draft(found, base, weights)
    except Unreadable as problem:
        return rejected([problem.reason])


def _problems(name: str, update: Update, weights: BaseWeights | None) -> Iterator[Reason]:
    module = name.removesuffix(".weight")
    match update:
        case LowRank() | Dense(factors=LowRank()):
            return
        case Directional() if module != _HEAD and not is_embedding(module):
            if weights is None:
                yield Reason("dora", "DoRA is served only where the engine scales outputs; merge it into the base")
            elif problem := weights.problem(name):
                yield Reason("quantised_base", f"DoRA needs the base's dense weight: {problem}; merge the adapter")
            magnitude = update.magnitude()
            if not (np.isfinite(magnitude) & (magnitude > 0)).all():
                yield Reason("magnitude", f"DoRA's magnitudes of {quoted(module)} are not all positive numbers")
        case _:
            yield Reason("module", f"what the adapter does to {quoted(name)} is not served; merge it into the base")


def _draft(found: Updates, base: BaseShapes, weights: BaseWeights | None) -> Draft:
    products = {name: _product(update) for name, (update,) in found.by_tensor.items()}
    rank = max(product.rank for product in products.values())
    pairs: list[LoraPair] = []
    scales: list[Output] = []
    for name, (update,) in found.by_tensor.items():
        module, product = name.removesuffix(".weight"), products[name]
        shape = base.shapes[module] or (product.b().shape[0], product.a().shape[1])
        factor = None
        if isinstance(update, Directional) and weights is not None:
            factor = cache(partial(_scale, update, weights, name))
            scales.append(_output(f"{module}.scale", (shape[0],), factor))
        pairs.append(_pair(module, product, factor, shape, rank))
    return Draft(found.format, rank, float(rank), False, found.alpha, tuple(pairs), found.warnings, tuple(scales))


def _product(update: Update) -> LowRank:
    match update:
        case Dense(factors=LowRank() as product) | Directional(low_rank=product) | (LowRank() as product):
            return product
    raise TypeError(f"{type(update).__name__} is no product")


def _scale(update: Directional, weights: BaseWeights, name: str) -> NDArray[np.float32]:
    try:
        return output_scale(update, weights.blocks(name))
    except SetupError as error:
        raise Unreadable("base_unreadable", error.message) from error


def _pair(module: str, product: LowRank, factor: Load | None, shape: Shape, rank: int) -> LoraPair:
    """With the scale, and DoRA's factor, in B; a smaller rank is filled up with zeros, which add nothing."""

    def a() -> NDArray[np.float32]:
        return np.pad(product.a(), ((0, rank - product.rank), (0, 0)))

    def b() -> NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told when it is measured
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

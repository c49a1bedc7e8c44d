"""Brings an adapter of any served format into its canonical form, plain LoRA.

An adapter that is stored as plain LoRA keeps its values: zeros fill up smaller ranks, and modules
with scales of their own get them folded into B. Every other adapter gets new factors in float32, so
that the engine's dtype is the only rounding. AdaLoRA and VeRA are products already, LoHa and LoKr
where their rank is small. DoRA is a product and a factor on each output that needs the base's
weights. A rank that is too large may be approximated within the allowed error; only that reads and
computes all values here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.approximation import approximated
from lorabay.algebra.updates import Directional, ExpertProducts, LowRank
from lorabay.base.shapes import HEAD, is_embedding
from lorabay.catalog.canonical import Canonical, CanonicalTensor, LoraPair
from lorabay.catalog.expert_pairs import empty_pairs, stacked_pairs, stacked_problems
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Unreadable
from lorabay.files.tensors import from_float32
from lorabay.formats.advice import MERGE
from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.algebra.updates import Load, Matrix, Update
    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.base.weights import BaseWeights
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.files.tensors import Tensor
    from lorabay.formats.interface import Read, Updates


@dataclass(frozen=True, slots=True)
class Means:
    """What a conversion may use.

    `max_rank` is the largest rank. `weights` are the base's; without them there is no DoRA.
    `approximate_error` is the largest relative error of an approximation, 0 for none.
    """

    max_rank: int
    weights: BaseWeights | None = None
    approximate_error: float = 0.0


def as_stored(updates: Updates, read: Read, base: BaseShapes) -> Canonical:
    """Return plain LoRA that keeps the values of its file; `updates` are `lora.plain_updates`."""
    products: dict[str, LowRank] = {}
    for name, (update,) in updates.by_tensor.items():
        module = name.removesuffix(".weight")
        product = update.as_product()
        if product is None:
            raise TypeError(f"{type(update).__name__} of {module} is not stored as a product")
        products[module] = product.transposed if base.is_transposed(module) else product

    # The engine takes one rank and one scale for the whole adapter.
    rank = max(product.rank for product in products.values())
    alpha, rslora, folds = _scaling(updates, products, rank)
    pairs = [
        _stored_pair(module, product, read, rank, folds[module])
        for module, product in products.items()
    ]
    pairs += empty_pairs(products.keys(), base, rank, pairs[0].a.dtype)
    return Canonical(
        format=updates.format,
        rank=rank,
        alpha=alpha,
        rslora=rslora,
        source_alpha=updates.alpha,
        pairs=tuple(pairs),
        warnings=updates.warnings,
    )


def converted(updates: Updates, base: BaseShapes, means: Means) -> Canonical | Rejected:
    """Return plain LoRA with new factors, or every reason why an engine cannot serve it.

    Reads DoRA's magnitudes, and everything if the rank must be approximated.
    """
    if not updates.by_tensor:
        return rejected([Reason("no_effect", "no module of the adapter has any rank left")])

    try:
        reasons: list[Reason] = []
        for name, (update,) in updates.by_tensor.items():
            reasons += _problems(name, update, base, means.weights)
        return rejected(reasons) if reasons else _fitted(updates, base, means)
    except Unreadable as problem:
        return rejected([problem.reason])


def _scaling(
    updates: Updates, products: Mapping[str, LowRank], rank: int
) -> tuple[float, bool, Mapping[str, float]]:
    """Return alpha and rslora of the result, and what is folded into B of each module."""
    unchanged = dict.fromkeys(products, 1.0)
    if updates.scaling is not None:
        return updates.scaling.alpha, updates.scaling.rslora, unchanged

    # One scale for all modules needs no folding, unless its alpha is not exact.
    scales = {module: product.scale for module, product in products.items()}
    common = next(iter(scales.values()))
    alpha = common * rank
    if set(scales.values()) == {common} and alpha / rank == common:
        return alpha, False, unchanged
    return float(rank), False, scales


def _stored_pair(module: str, product: LowRank, read: Read, rank: int, fold: float) -> LoraPair:
    stored = product.stored
    if stored is None:
        raise TypeError(f"the factors of {module} are not those of the adapter's file")
    a, b = stored
    return LoraPair(
        module,
        _kept(a, (rank, a.shape[1]), read, 1.0),
        _kept(b, (b.shape[0], rank), read, fold),
    )


def _kept(info: TensorInfo, shape: Shape, read: Read, fold: float) -> CanonicalTensor:
    """Return a stored tensor times `fold`, filled up with zeros, which add nothing.

    A product that the tensor's own dtype would round, or make too large, is kept in float32: then
    the engine's dtype is the only rounding. float64 is kept in float32, too: no engine has more.
    """
    is_power_of_two = math.frexp(fold)[0] in (0.5, -0.5)
    is_exact = fold == 1.0 or (info.dtype == "BF16" and is_power_of_two)
    dtype = info.dtype if is_exact and info.dtype != "F64" else "F32"

    def make() -> Tensor:
        tensor = read(info)
        if dtype == info.dtype:
            return tensor.scaled(fold).padded(shape)
        with np.errstate(over="ignore", invalid="ignore"):
            return from_float32(tensor.as_float32() * np.float32(fold), dtype).padded(shape)

    def read_by(other: Read) -> CanonicalTensor:
        return _kept(info, shape, other, fold)

    return CanonicalTensor(info.name, dtype, shape, make, read_by)


def _problems(
    name: str, update: Update, base: BaseShapes, weights: BaseWeights | None
) -> Iterator[Reason]:
    """Return why an engine cannot serve an update, even with output scales."""
    module = name.removesuffix(".weight")
    is_layer = name.endswith(".weight") and module in base.shapes
    if isinstance(update, ExpertProducts):
        yield from stacked_problems(name, update, base)
        return
    if is_layer and update.as_product() is not None:
        return

    is_head = module.rpartition(".")[2] == HEAD
    if not isinstance(update, Directional) or not is_layer or is_head or is_embedding(module):
        text = f"what the adapter does to {quoted(name)} is not served; {MERGE}"
        yield Reason("module", text)
        return

    if weights is None:
        text = f"DoRA is served only where the engine scales outputs; {MERGE}"
        yield Reason("dora", text)
    elif problem := weights.problem(name):
        text = f"DoRA needs the base's dense weight: {problem}; merge the adapter"
        yield Reason("quantised_base", text)

    magnitude = update.magnitude()
    if not (np.isfinite(magnitude) & (magnitude > 0)).all():
        text = f"DoRA's magnitudes of {quoted(module)} are not all positive numbers"
        yield Reason("magnitude", text)


def _fitted(updates: Updates, base: BaseShapes, means: Means) -> Canonical | Rejected:
    """Return the exact form, or an approximation if the rank is too large and one is allowed."""
    single = {name: update for name, (update,) in updates.by_tensor.items()}
    products: dict[str, LowRank] = {}
    for name, update in single.items():
        if not isinstance(update, ExpertProducts):
            products[name] = _product(update)

    # DoRA is never approximated: its scales belong to the exact product. Nor are experts.
    largest = max((product.rank for product in products.values()), default=0)
    fits = largest <= means.max_rank
    is_exact = any(isinstance(update, Directional | ExpertProducts) for update in single.values())
    if fits or is_exact or not means.approximate_error:
        return _canonical(updates, products, base, means.weights)

    best = approximated(single, means.max_rank, means.approximate_error)
    if isinstance(best, Rejected):
        return best
    note = (
        f"approximate: as plain LoRA of rank {best.rank} it lacks {best.error:.2%} "
        "of the adapter's update"
    )
    canonical = _canonical(updates, best.products, base, means.weights)
    return replace(canonical, approximate=best.error, warnings=(*canonical.warnings, note))


def _product(update: Update) -> LowRank:
    product = update.as_product() or update.low_rank
    if product is None:
        raise TypeError(f"{type(update).__name__} has no product")
    return product


def _canonical(
    updates: Updates, products: Mapping[str, LowRank], base: BaseShapes, weights: BaseWeights | None
) -> Canonical:
    experts: dict[str, ExpertProducts] = {}
    for name, (update,) in updates.by_tensor.items():
        if isinstance(update, ExpertProducts):
            experts[name] = update

    ranks = [product.rank for product in products.values()]
    rank = max(ranks + [update.rank for update in experts.values()])
    pairs: list[LoraPair] = []
    scales: list[CanonicalTensor] = []

    for name, (update,) in updates.by_tensor.items():
        if name in experts:
            continue
        module = name.removesuffix(".weight")
        product = products[name].transposed if base.is_conv1d(module) else products[name]
        shape = base.layer_shape(module) or (product.b().shape[0], product.a().shape[1])
        scale = None
        if isinstance(update, Directional) and weights is not None:
            # Two tensors need it: the scale itself, and B.
            scale = cache(partial(_output_scale, update, weights, name))
            scales.append(_computed(f"{module}.scale", (shape[0],), scale))
        pairs.append(_computed_pair(module, product, scale, shape, rank))

    pairs += stacked_pairs(experts, base, rank)
    pairs += empty_pairs({pair.module for pair in pairs}, base, rank, "F32")
    return Canonical(
        format=updates.format,
        rank=rank,
        alpha=float(rank),
        rslora=False,
        source_alpha=updates.alpha,
        pairs=tuple(pairs),
        scales=tuple(scales),
        warnings=updates.warnings,
    )


def _output_scale(update: Directional, weights: BaseWeights, name: str) -> Matrix:
    try:
        return update.output_scale(weights.blocks(name))
    except SetupError as error:
        raise Unreadable("base_unreadable", error.message) from error


def _computed_pair(
    module: str, product: LowRank, scale: Load | None, shape: Shape, rank: int
) -> LoraPair:
    """Return A and B with the scale (and DoRA's factor) folded into B, zero-padded to `rank`."""
    lacking = rank - product.rank

    def a() -> Matrix:
        return np.pad(product.a(), ((0, lacking), (0, 0)))

    def b() -> Matrix:
        # Values that are not finite are reported by `measure`.
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = product.b() * np.float32(product.scale)
            if scale is not None:
                scaled *= scale()[:, None]
        return np.pad(scaled, ((0, 0), (0, lacking)))

    name = PREFIX + module
    return LoraPair(
        module,
        _computed(f"{name}.lora_A.weight", (rank, shape[1]), a),
        _computed(f"{name}.lora_B.weight", (shape[0], rank), b),
    )


def _computed(name: str, shape: tuple[int, ...], load: Load) -> CanonicalTensor:
    def make() -> Tensor:
        return from_float32(np.ascontiguousarray(load()), "F32")

    return CanonicalTensor(name, "F32", shape, make)

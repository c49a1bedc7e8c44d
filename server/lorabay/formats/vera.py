"""VeRA (Kopiczko et al. 2023): W' = W + diag(b) B diag(d) A, with A and B shared by all modules.

A and B are random and frozen; each module uses a corner of them. The adapter holds both, or only
the seed that they came from. Then they are drawn again bit by bit as PEFT draws them, from the
Mersenne Twister behind PyTorch's CPU generator. The update is exactly plain LoRA.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, Field

from lorabay.algebra.updates import LowRank
from lorabay.formats.config.config_fields import FIELDS, Rank, coverage_problems, parse
from lorabay.formats.interface import Updates
from lorabay.formats.tensor_names import by_module, dtype_problems, missing_roles, shape_problem
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Load
    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source
    from lorabay.formats.tensor_names import Roles

_A, _B = "base_model.vera_A", "base_model.vera_B"
_ROLES = ("vera_lambda_b", "vera_lambda_d")

_LARGEST = 1 << 28
"""Values in one projection that are drawn at most: a config must not exhaust the memory."""


class _Config(BaseModel):
    model_config = FIELDS

    r: Rank
    projection_prng_key: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] = 0
    save_projection: bool = True


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a product for each module; A and B are read or drawn once for all of them."""
    config = parse(_Config, source.config)
    # A and B belong to no module, so they are taken out before sorting.
    shared = {tensor.name: tensor for tensor in source.tensors if tensor.name in (_A, _B)}
    own = [tensor for tensor in source.tensors if tensor.name not in shared]
    tensors = by_module(own, _ROLES, base)

    reasons = [*tensors.problems, *coverage_problems(source.config, tensors.modules, base)]
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *reasons])
    for module, roles in tensors.modules.items():
        reasons += _problems(config, module, roles, base)
    if reasons:
        return rejected(reasons)

    # The projections must be large enough for the largest module, whose shape is known by now.
    shapes = [base.layer_shape(module) or (0, 0) for module in tensors.modules]
    largest = max(outputs for outputs, _ in shapes), max(inputs for _, inputs in shapes)
    reasons += _projection_problems(config, shared, largest)
    if reasons:
        return rejected(reasons)

    a, b = _projections(source, config, shared, largest)
    by_tensor = {
        f"{module}.weight": (_product(source, config.r, a, b, module, roles, base),)
        for module, roles in tensors.modules.items()
    }
    return Updates("vera", config.r, float(config.r), by_tensor)


def _problems(config: _Config, module: str, roles: Roles, base: BaseShapes) -> Iterator[Reason]:
    yield from missing_roles(module, roles, _ROLES)
    shape = base.layer_shape(module)
    if shape is None:
        text = f"module {quoted(module)}: the shape of the base's packed weight is not known"
        yield Reason("quantised_base", text)
        return
    for role, expected in zip(_ROLES, (shape[0], config.r), strict=True):
        if role in roles:
            yield from shape_problem(roles[role], (expected,))


def _projection_problems(
    config: _Config, shared: Mapping[str, TensorInfo], largest: Shape
) -> Iterator[Reason]:
    """Check that A and B are stored, or may be drawn, in the size that `largest` needs."""
    outputs, inputs = largest
    if not shared and not config.save_projection:
        if config.r * max(outputs, inputs) > _LARGEST:
            text = f"rank {config.r} asks for projections of more than {_LARGEST} values"
            yield Reason("too_large", text)
        return

    for name in (_A, _B):
        if name not in shared:
            text = f"there is no {quoted(name)}; save the adapter with save_projection=True"
            yield Reason("missing_tensor", text)
            continue
        yield from dtype_problems(shared[name])
        shape = shared[name].shape if name == _A else shared[name].shape[::-1]
        needed = inputs if name == _A else outputs
        if len(shape) != 2 or shape[0] != config.r or shape[1] < needed:
            text = (
                f"{quoted(name)} has shape {shared[name].shape}, too small for rank {config.r}, "
                f"{inputs} inputs and {outputs} outputs"
            )
            yield Reason("shape", text)


def _projections(
    source: Source, config: _Config, shared: Mapping[str, TensorInfo], largest: Shape
) -> tuple[Load, Load]:
    """Return A and B, which are kept after the first call: every module needs them."""
    if config.save_projection:
        return cache(source.load(shared[_A])), cache(source.load(shared[_B]))

    # PEFT draws them for the largest module, and A before B: another size has other values.
    outputs, inputs = largest
    drawn = cache(lambda: draw_projections(config.projection_prng_key, config.r, outputs, inputs))
    return lambda: drawn()[0], lambda: drawn()[1]


def draw_projections(
    seed: int, rank: int, outputs: int, inputs: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return A (rank, inputs) and B (outputs, rank), drawn as PyTorch's generator draws them.

    Both are Kaiming-uniform; A is drawn first.
    """
    twister = np.random.MT19937()
    twister._legacy_seeding(seed & 0xFFFFFFFF)
    return _uniform(twister, (rank, inputs)), _uniform(twister, (outputs, rank))


def _uniform(twister: np.random.MT19937, shape: tuple[int, int]) -> NDArray[np.float32]:
    bound = math.sqrt(3.0) * (math.sqrt(2) / math.sqrt(shape[1]))
    low, high = np.float32(-bound), np.float32(bound)
    drawn = np.empty(shape, np.float32)

    # PyTorch's kernel multiplies and adds with one rounding, hence float64; rows bound the memory.
    for row in drawn:
        units = (twister.random_raw(shape[1]) & 0xFFFFFF).astype(np.float64) * 2.0**-24
        row[:] = units * float(high - low) + float(low)
    return drawn


def _product(
    source: Source, rank: int, a: Load, b: Load, module: str, roles: Roles, base: BaseShapes
) -> LowRank:
    outputs, inputs = base.layer_shape(module) or (0, 0)
    scale_b, scale_d = (source.load(roles[role]) for role in _ROLES)
    product = LowRank(
        a=lambda: a()[:, :inputs] * scale_d()[:, None],
        b=lambda: b()[:outputs] * scale_b()[:, None],
        rank=rank,
        scale=1.0,
    )
    return product.transposed if base.is_conv1d(module) else product

"""VeRA (Kopiczko et al. 2023): W' = W + diag(b) B diag(d) A, with A and B random, frozen and shared
by all modules.

The adapter holds A and B, or only the seed that they came from. They are then drawn again bit by
bit as PEFT does, from the Mersenne Twister behind PyTorch's CPU generator. Each module uses a
corner of A and B; it is exactly plain LoRA.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, Field

from lorabay.algebra.updates import LowRank
from lorabay.formats.config_fields import FIELDS, parse
from lorabay.formats.interface import Updates
from lorabay.formats.patterns import coverage_problems
from lorabay.formats.tensor_names import by_module, dtype_problems, missing_roles, shape_problem
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Load
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source
    from lorabay.formats.tensor_names import Roles

_SHARED = ("base_model.vera_A", "base_model.vera_B")
_ROLES = ("vera_lambda_b", "vera_lambda_d")
_LARGEST = 1 << 28  # values in one projection; a config must not make us draw more


class _Config(BaseModel):
    model_config = FIELDS

    r: Annotated[int, Field(ge=1, le=1 << 16)]
    projection_prng_key: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] = 0
    save_projection: bool = True


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    config = parse(_Config, source.config)
    shared = {tensor.name: tensor for tensor in source.tensors if tensor.name in _SHARED}
    found = by_module(
        (tensor for tensor in source.tensors if tensor.name not in _SHARED), _ROLES, base
    )
    reasons = [*(config.reasons if isinstance(config, Rejected) else ()), *found.problems]
    reasons += coverage_problems(source.config, found.modules, base)
    if isinstance(config, _Config):
        for module, roles in found.modules.items():
            reasons += _problems(config, module, roles, base)
        if not reasons:
            reasons += _shared_problems(config, shared, found.modules, base)
    if isinstance(config, Rejected) or reasons:
        return rejected(reasons)
    a, b = _projections(source, config, shared, found.modules, base)
    by_tensor = {
        f"{module}.weight": (_update(source, config.r, a, b, module, roles, base),)
        for module, roles in found.modules.items()
    }
    return Updates("vera", config.r, float(config.r), by_tensor)


def _problems(config: _Config, module: str, roles: Roles, base: BaseShapes) -> Iterator[Reason]:
    yield from missing_roles(module, roles, _ROLES)
    shape = base.layer_shape(module)
    if shape is None:
        yield Reason(
            "quantised_base",
            f"module {quoted(module)}: the shape of the base's packed weight is not known",
        )
        return
    for role, expected in zip(_ROLES, (shape[0], config.r), strict=True):
        if role in roles:
            yield from shape_problem(roles[role], (expected,))


def _largest(modules: Mapping[str, Roles], base: BaseShapes) -> tuple[int, int]:
    shapes = [shape for module in modules if (shape := base.layer_shape(module)) is not None]
    return max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)


def _shared_problems(
    config: _Config,
    shared: Mapping[str, TensorInfo],
    modules: Mapping[str, Roles],
    base: BaseShapes,
) -> Iterator[Reason]:
    outputs, inputs = _largest(modules, base)
    if not shared and not config.save_projection:
        if config.r * max(outputs, inputs) > _LARGEST:
            yield Reason(
                "too_large", f"rank {config.r} asks for projections of more than {_LARGEST} values"
            )
        return
    for name in _SHARED:
        if name not in shared:
            yield Reason(
                "missing_tensor",
                f"there is no {quoted(name)}; save the adapter with save_projection=True",
            )
            continue
        yield from dtype_problems(shared[name])
        rank, size = shared[name].shape if name == _SHARED[0] else shared[name].shape[::-1]
        if rank != config.r or size < (inputs if name == _SHARED[0] else outputs):
            yield Reason(
                "shape",
                f"{quoted(name)} has shape {shared[name].shape}, too small for rank {config.r}, {inputs} inputs and "
                f"{outputs} outputs",
            )


def _projections(
    source: Source,
    config: _Config,
    shared: Mapping[str, TensorInfo],
    modules: Mapping[str, Roles],
    base: BaseShapes,
) -> tuple[Load, Load]:
    """A and B, kept once they were read: every module needs them."""
    if config.save_projection:
        a, b = (source.load(shared[name]) for name in _SHARED)
        return cache(a), cache(b)
    outputs, inputs = _largest(modules, base)
    drawn = cache(lambda: draw_projections(config.projection_prng_key, config.r, outputs, inputs))
    return lambda: drawn()[0], lambda: drawn()[1]


def draw_projections(
    seed: int, rank: int, outputs: int, inputs: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A (rank, inputs) and B (outputs, rank), Kaiming-uniform, one after the other from PyTorch's
    generator.
    """
    twister = np.random.MT19937()
    twister._legacy_seeding(seed & 0xFFFFFFFF)
    return _uniform(twister, (rank, inputs)), _uniform(twister, (outputs, rank))


def _uniform(twister: np.random.MT19937, shape: tuple[int, int]) -> NDArray[np.float32]:
    bound = math.sqrt(3.0) * (math.sqrt(2) / math.sqrt(shape[1]))
    low, high = np.float32(-bound), np.float32(bound)
    drawn = np.empty(shape, np.float32)
    for row in (
        drawn
    ):  # in float64, a row at a time: PyTorch's kernel multiplies and adds with one rounding
        units = (twister.random_raw(shape[1]) & 0xFFFFFF).astype(np.float64) * 2.0**-24
        row[:] = units * float(high - low) + float(low)
    return drawn


def _update(
    source: Source, rank: int, a: Load, b: Load, module: str, roles: Roles, base: BaseShapes
) -> LowRank:
    outputs, inputs = base.layer_shape(module) or (0, 0)
    scale_b, scale_d = (source.load(roles[role]) for role in _ROLES)
    product = LowRank(
        lambda: a()[:, :inputs] * scale_d()[:, None],
        lambda: b()[:outputs] * scale_b()[:, None],
        rank,
        1.0,
    )
    return product.transposed if base.is_conv1d(module) else product

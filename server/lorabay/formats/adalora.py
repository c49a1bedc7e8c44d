"""AdaLoRA (Zhang et al. 2023): W' = W + alpha / n * B diag(E) A, the rank of each module chosen in
training.

n is what PEFT calls ranknum: the rank that training started with, whatever was pruned since. It is
exactly plain LoRA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, Field

from lorabay.algebra.updates import LowRank
from lorabay.formats.config_fields import FIELDS, parse
from lorabay.formats.interface import Updates
from lorabay.formats.patterns import coverage_problems
from lorabay.formats.tensor_names import by_module, missing_roles, product_problems, shape_problem
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source
    from lorabay.formats.tensor_names import Roles

_FACTORS = ("lora_A", "lora_B", "lora_E")
_RANKNUM = "ranknum"


class _Config(BaseModel):
    model_config = FIELDS

    lora_alpha: Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
    init_r: Annotated[int, Field(ge=1, le=1 << 16)]
    rank_pattern: dict[str, list[bool]] | None = None


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    config = parse(_Config, source.config)
    found = by_module(source.tensors, (*_FACTORS, _RANKNUM), base)
    reasons = [*(config.reasons if isinstance(config, Rejected) else ()), *found.problems]
    reasons += coverage_problems(source.config, found.modules, base)
    if isinstance(config, _Config):
        reasons += [
            reason
            for module in found.modules
            for reason in _problems(config, module, found.modules[module], base)
        ]
    if isinstance(config, Rejected) or reasons:
        return rejected(reasons)
    # Modules whose whole budget was taken away do nothing.
    kept = {module: roles for module, roles in found.modules.items() if roles["lora_A"].shape[0]}
    by_tensor = {
        f"{module}.weight": (_update(source, config, module, roles, base),)
        for module, roles in kept.items()
    }
    rank = max((roles["lora_A"].shape[0] for roles in kept.values()), default=0)
    return Updates("adalora", rank, config.lora_alpha, by_tensor)


def _problems(config: _Config, module: str, roles: Roles, base: BaseShapes) -> Iterator[Reason]:
    yield from missing_roles(module, roles, _FACTORS)
    if not roles.keys() >= set(_FACTORS):
        return
    a, b, e = (roles[role] for role in _FACTORS)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        yield Reason(
            "shape",
            f"{quoted(a.name)} has shape {a.shape} and its B {b.shape}; they make no product",
        )
        return
    yield from shape_problem(e, (a.shape[0], 1))
    yield from product_problems(module, b.shape[0], a.shape[1], base.layer_shape(module))
    if _RANKNUM in roles:
        yield from shape_problem(roles[_RANKNUM], (1,))
    pattern = (config.rank_pattern or {}).get(f"{module}.lora_E")
    expected = config.init_r if pattern is None else sum(pattern)
    if a.shape[0] != expected:
        yield Reason("rank", f"{quoted(a.name)} has rank {a.shape[0]}, the config says {expected}")


def _update(
    source: Source, config: _Config, module: str, roles: Roles, base: BaseShapes
) -> LowRank:
    a, b, e = (source.load(roles[role]) for role in _FACTORS)
    rank = roles["lora_A"].shape[0]
    count = float(source.load(roles[_RANKNUM])()[0]) if _RANKNUM in roles else float(config.init_r)
    alpha = config.lora_alpha if config.lora_alpha > 0 else float(rank)

    def gated() -> NDArray[np.float32]:
        return a() * e()

    product = LowRank(gated, b, rank, alpha / float(np.float32(count) + np.float32(1e-5)))
    return product.transposed if base.is_conv1d(module) else product

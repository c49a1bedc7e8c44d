"""AdaLoRA (Zhang et al. 2023): W' = W + alpha / n * B diag(E) A, each module with its own rank.

n is the rank that training started with (PEFT's `ranknum`), whatever was pruned since. The update
is exactly plain LoRA.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from lorabay.algebra.updates import LowRank
from lorabay.formats.config.config_fields import (
    FIELDS,
    Alpha,
    Listed,
    Named,
    Rank,
    coverage_problems,
    parse,
)
from lorabay.formats.interface import Updates
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

    lora_alpha: Alpha
    init_r: Rank = 12
    """PEFT's default, for configs that leave out what has it."""

    rank_pattern: Named[Listed[bool]] | None = None


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a product for each module that has any rank left."""
    # Config and tensors are judged together, so that all reasons are reported.
    config = parse(_Config, source.config)
    tensors = by_module(source.tensors, (*_FACTORS, _RANKNUM), base)
    reasons = [*tensors.problems, *coverage_problems(source.config, tensors.modules, base)]
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *reasons])
    for module, roles in tensors.modules.items():
        reasons += _problems(config, module, roles, base)
    if reasons:
        return rejected(reasons)

    # A module whose whole budget was taken away does nothing.
    ranks = {module: roles["lora_A"].shape[0] for module, roles in tensors.modules.items()}
    by_tensor: dict[str, tuple[LowRank, ...]] = {}
    for module, roles in tensors.modules.items():
        if not ranks[module]:
            continue
        count = _first_rank(source, config, roles)
        if not 1 <= count < math.inf:
            text = f"{quoted(roles[_RANKNUM].name)} is {count}, which is no rank"
            reasons.append(Reason("rank", text))
            continue
        by_tensor[f"{module}.weight"] = (_product(source, config, module, roles, base, count),)
    if reasons:
        return rejected(reasons)
    return Updates("adalora", max(ranks.values()), config.lora_alpha, by_tensor)


def _problems(config: _Config, module: str, roles: Roles, base: BaseShapes) -> Iterator[Reason]:
    yield from missing_roles(module, roles, _FACTORS)
    if not roles.keys() >= set(_FACTORS):
        return

    a, b, e = (roles[role] for role in _FACTORS)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        text = f"{quoted(a.name)} has shape {a.shape} and its B {b.shape}; they make no product"
        yield Reason("shape", text)
        return

    yield from shape_problem(e, (a.shape[0], 1))
    yield from product_problems(module, b.shape[0], a.shape[1], base.layer_shape(module))
    if _RANKNUM in roles:
        yield from shape_problem(roles[_RANKNUM], (1,))

    # The pattern marks which ranks of the module were kept.
    kept = (config.rank_pattern or {}).get(f"{module}.lora_E")
    expected = config.init_r if kept is None else sum(kept)
    if a.shape[0] != expected:
        text = f"{quoted(a.name)} has rank {a.shape[0]}, the config says {expected}"
        yield Reason("rank", text)


def _first_rank(source: Source, config: _Config, roles: Roles) -> float:
    """Return the rank that a module's training started with."""
    if _RANKNUM not in roles:
        return float(config.init_r)
    return float(source.load(roles[_RANKNUM])()[0])


def _product(
    source: Source, config: _Config, module: str, roles: Roles, base: BaseShapes, count: float
) -> LowRank:
    a, b, e = (source.load(roles[role]) for role in _FACTORS)
    rank = roles["lora_A"].shape[0]

    # PEFT divides by ranknum + 1e-5 in float32.
    alpha = config.lora_alpha if config.lora_alpha > 0 else float(rank)
    scale = alpha / float(np.float32(count) + np.float32(1e-5))

    def gated() -> NDArray[np.float32]:
        return a() * e()

    product = LowRank(gated, b, rank, scale)
    return product.transposed if base.is_conv1d(module) else product

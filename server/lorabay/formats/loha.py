"""LoHa (Hyeon-Woo et al. 2021): W' = W + alpha / r * (A1 B1) ∘ (A2 B2), elementwise.

The elementwise product of two matrices of rank r has rank r², with factors that follow from theirs.
A small LoHa is therefore exactly plain LoRA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Dense, LowRank
from lorabay.formats.config.config_fields import coverage_problems, parse
from lorabay.formats.interface import Updates
from lorabay.formats.lycoris import LycorisConfig
from lorabay.formats.tensor_names import by_module, missing_roles, product_problems
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source
    from lorabay.formats.tensor_names import Roles

_ROLES = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a dense update for each module, with its exact factors."""
    config = parse(LycorisConfig, source.config)
    tensors = by_module(source.tensors, _ROLES, base)
    reasons = [*tensors.problems, *coverage_problems(source.config, tensors.modules, base)]
    for module, roles in tensors.modules.items():
        reasons += _problems(module, roles, base)
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *reasons])
    reasons += config.problems(tensors.modules, trusted=source.trusted)
    if reasons:
        return rejected(reasons)

    by_tensor: dict[str, tuple[Dense, ...]] = {}
    ranks: list[int] = []
    for module, roles in tensors.modules.items():
        scale = config.scale_of(module, trusted=source.trusted)
        rank = roles["hada_w1_a"].shape[1] * roles["hada_w2_a"].shape[1]
        by_tensor[f"{module}.weight"] = (_update(source, roles, rank, scale),)
        ranks.append(rank)
    return Updates("loha", max(ranks), config.alpha, by_tensor)


def _problems(module: str, roles: Roles, base: BaseShapes) -> Iterator[Reason]:
    yield from missing_roles(module, roles, _ROLES)
    if not roles.keys() >= set(_ROLES):
        return

    # (A1 B1) and (A2 B2) must both be matrices of one shape.
    w1a, w1b, w2a, w2b = (roles[role].shape for role in _ROLES)
    if any(len(shape) != 2 or 0 in shape for shape in (w1a, w1b, w2a, w2b)):
        yield Reason("shape", f"the factors of {quoted(module)} are not all matrices")
    elif w1a[1] != w1b[0] or w2a[1] != w2b[0] or (w1a[0], w1b[1]) != (w2a[0], w2b[1]):
        text = f"the factors of {quoted(module)} make no product: {w1a}, {w1b}, {w2a}, {w2b}"
        yield Reason("shape", text)
    else:
        yield from product_problems(module, w1a[0], w1b[1], base.shapes[module])


def _update(source: Source, roles: Roles, rank: int, scale: float) -> Dense:
    w1a, w1b, w2a, w2b = (source.load(roles[role]) for role in _ROLES)

    def delta() -> NDArray[np.float32]:
        return (w1a() @ w1b()) * (w2a() @ w2b()) * np.float32(scale)

    # Every row of B1 times every row of B2, and every column of A1 times every column of A2.
    def a() -> NDArray[np.float32]:
        one, two = w1b(), w2b()
        return (one[:, None, :] * two[None, :, :]).reshape(-1, one.shape[1])

    def b() -> NDArray[np.float32]:
        one, two = w1a(), w2a()
        return (one[:, :, None] * two[:, None, :]).reshape(one.shape[0], -1)

    return Dense(delta, LowRank(a, b, rank, scale))

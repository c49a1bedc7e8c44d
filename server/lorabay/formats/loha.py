"""LoHa (Hyeon-Woo et al. 2021): W' = W + alpha / r * (A1 B1) ∘ (A2 B2), elementwise of two low-rank
matrices.

The product of two of rank r has rank r² and factors that follow from theirs, so a small LoHa is
exactly plain LoRA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Dense, LowRank
from lorabay.formats.interface import Updates
from lorabay.formats.lycoris import LycorisConfig, config_reasons, parse_lycoris
from lorabay.formats.patterns import coverage_problems
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
    config = parse_lycoris(source.config)
    found = by_module(source.tensors, _ROLES, base)
    reasons = [*config_reasons(config, source), *found.problems]
    reasons += coverage_problems(source.config, found.modules, base)
    for module, roles in found.modules.items():
        reasons += _problems(module, roles, base)
    if isinstance(config, Rejected) or reasons:
        return rejected(reasons)
    by_tensor = {
        f"{module}.weight": (_update(source, config, module, roles),)
        for module, roles in found.modules.items()
    }
    rank = max(update.factors.rank for (update,) in by_tensor.values() if update.factors)
    return Updates("loha", rank, config.alpha, by_tensor)


def _problems(module: str, roles: Roles, base: BaseShapes) -> Iterator[Reason]:
    yield from missing_roles(module, roles, _ROLES)
    if not roles.keys() >= set(_ROLES):
        return
    w1a, w1b, w2a, w2b = (roles[role].shape for role in _ROLES)
    if any(len(shape) != 2 or 0 in shape for shape in (w1a, w1b, w2a, w2b)):
        yield Reason("shape", f"the factors of {quoted(module)} are not all matrices")
    elif w1a[1] != w1b[0] or w2a[1] != w2b[0] or (w1a[0], w1b[1]) != (w2a[0], w2b[1]):
        yield Reason(
            "shape", f"the factors of {quoted(module)} make no product: {w1a}, {w1b}, {w2a}, {w2b}"
        )
    else:
        yield from product_problems(module, w1a[0], w1b[1], base.shapes[module])


def _update(source: Source, config: LycorisConfig, module: str, roles: Roles) -> Dense:
    w1a, w1b, w2a, w2b = (source.load(roles[role]) for role in _ROLES)
    scale = config.scale_of(module, trusted=source.trusted)

    def delta() -> NDArray[np.float32]:
        return (w1a() @ w1b()) * (w2a() @ w2b()) * np.float32(scale)

    def a() -> NDArray[np.float32]:
        one, two = w1b(), w2b()
        return (one[:, None, :] * two[None, :, :]).reshape(-1, one.shape[1])

    def b() -> NDArray[np.float32]:
        one, two = w1a(), w2a()
        return (one[:, :, None] * two[:, None, :]).reshape(one.shape[0], -1)

    rank = roles["hada_w1_a"].shape[1] * roles["hada_w2_a"].shape[1]
    return Dense(delta, LowRank(a, b, rank, scale))

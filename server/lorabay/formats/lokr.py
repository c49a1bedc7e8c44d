"""LoKr (Yeh et al. 2023): W' = W + alpha / r * W1 ⊗ W2, a Kronecker product whose factors may be
products themselves.

A Kronecker product has the product of the ranks and factors that follow from theirs, so it is plain
LoRA where those are small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Dense, LowRank
from lorabay.formats.interface import Updates
from lorabay.formats.lycoris import config_reasons, parse_lycoris
from lorabay.formats.patterns import coverage_problems
from lorabay.formats.tensor_names import by_module, product_problems
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.formats.interface import Source
    from lorabay.formats.tensor_names import Roles

_ROLES = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")


@dataclass(frozen=True, slots=True)
class _Factor:
    """W1 or W2 of one module: one matrix, or the product of two."""

    source: Source
    roles: Roles
    name: str

    @property
    def problem(self) -> str | None:
        whole, left, right = (self.roles.get(self.name + part) for part in ("", "_a", "_b"))
        present = [tensor for tensor in (whole, left, right) if tensor]
        if any(len(tensor.shape) != 2 or 0 in tensor.shape for tensor in present):
            return f"{self.name} is no matrix"
        if (whole is None) == (left is None or right is None) or len(present) > (1 if whole else 2):
            return f"{self.name} must be there, or both of {self.name}_a and {self.name}_b"
        if left and right and left.shape[1] != right.shape[0]:
            return f"{self.name}_a and {self.name}_b make no product"
        return None

    @property
    def shape(self) -> Shape:
        if self.name in self.roles:
            rows, columns = self.roles[self.name].shape
        else:
            rows, columns = (
                self.roles[f"{self.name}_a"].shape[0],
                self.roles[f"{self.name}_b"].shape[1],
            )
        return rows, columns

    @property
    def rank(self) -> int:
        return min(self.shape) if self.name in self.roles else self.roles[f"{self.name}_a"].shape[1]

    def value(self) -> NDArray[np.float32]:
        if self.name in self.roles:
            return self.source.load(self.roles[self.name])()
        return self._part("_a") @ self._part("_b")

    def left(self) -> NDArray[np.float32]:
        """With `right`, two matrices of `rank` whose product is the factor."""
        rows, columns = self.shape
        if self.name in self.roles:
            return np.eye(rows, dtype=np.float32) if rows <= columns else self._part("")
        return self._part("_a")

    def right(self) -> NDArray[np.float32]:
        rows, columns = self.shape
        if self.name in self.roles:
            return self._part("") if rows <= columns else np.eye(columns, dtype=np.float32)
        return self._part("_b")

    def _part(self, suffix: str) -> NDArray[np.float32]:
        return self.source.load(self.roles[self.name + suffix])()


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    config = parse_lycoris(source.config)
    found = by_module(source.tensors, _ROLES, base)
    reasons = [*config_reasons(config, source), *found.problems]
    reasons += coverage_problems(source.config, found.modules, base)
    factors = {
        module: (_Factor(source, roles, "lokr_w1"), _Factor(source, roles, "lokr_w2"))
        for module, roles in found.modules.items()
    }
    for module, pair in factors.items():
        reasons += _problems(module, pair, base)
    if isinstance(config, Rejected) or reasons:
        return rejected(reasons)
    by_tensor = {
        f"{module}.weight": (_update(config.scale_of(module, trusted=source.trusted), pair),)
        for module, pair in factors.items()
    }
    rank = max(update.factors.rank for (update,) in by_tensor.values() if update.factors)
    return Updates("lokr", rank, config.alpha, by_tensor)


def _problems(module: str, pair: tuple[_Factor, _Factor], base: BaseShapes) -> Iterator[Reason]:
    problems = [factor.problem for factor in pair if factor.problem]
    for problem in problems:
        yield Reason(
            "missing_tensor" if "must be" in problem else "shape",
            f"module {quoted(module)}: {problem}",
        )
    if not problems:
        (rows, columns), (inner_rows, inner_columns) = (factor.shape for factor in pair)
        yield from product_problems(
            module, rows * inner_rows, columns * inner_columns, base.shapes[module]
        )


def _update(scale: float, pair: tuple[_Factor, _Factor]) -> Dense:
    one, two = pair

    def delta() -> NDArray[np.float32]:
        return np.kron(one.value(), two.value()) * np.float32(scale)

    product = LowRank(
        lambda: np.kron(one.right(), two.right()),
        lambda: np.kron(one.left(), two.left()),
        one.rank * two.rank,
        scale,
    )
    return Dense(delta, product)

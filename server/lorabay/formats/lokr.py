"""LoKr (Yeh et al. 2023): W' = W + alpha / r * W1 ⊗ W2, a Kronecker product.

W1 and W2 may be products themselves. A Kronecker product has the product of the two ranks, and
factors that follow from theirs. It is therefore plain LoRA where those ranks are small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Dense, LowRank
from lorabay.formats.config.config_fields import coverage_problems, parse
from lorabay.formats.interface import Updates
from lorabay.formats.lycoris import LycorisConfig
from lorabay.formats.tensor_names import by_module, product_problems
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.formats.interface import Source
    from lorabay.formats.tensor_names import Roles

    Matrix = NDArray[np.float32]

_ROLES = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a dense update for each module, with its exact factors."""
    config = parse(LycorisConfig, source.config)
    tensors = by_module(source.tensors, _ROLES, base)
    factors = {
        module: (_Factor(source, roles, "lokr_w1"), _Factor(source, roles, "lokr_w2"))
        for module, roles in tensors.modules.items()
    }

    reasons = [*tensors.problems, *coverage_problems(source.config, tensors.modules, base)]
    for module, (one, two) in factors.items():
        reasons += _problems(module, one, two, base)
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *reasons])
    reasons += config.problems(factors, trusted=source.trusted)
    if reasons:
        return rejected(reasons)

    by_tensor = {
        f"{module}.weight": (_update(one, two, config.scale_of(module, trusted=source.trusted)),)
        for module, (one, two) in factors.items()
    }
    rank = max(one.rank * two.rank for one, two in factors.values())
    return Updates("lokr", rank, config.alpha, by_tensor)


@dataclass(frozen=True, slots=True)
class _Factor:
    """W1 or W2 of one module: one matrix `name`, or the product of `name`_a and `name`_b."""

    source: Source
    roles: Roles
    name: str

    @property
    def problem(self) -> Reason | None:
        """Why the stored tensors make no factor, if they make none; without the module's name."""
        complete, left, right = (self.roles.get(self.name + part) for part in ("", "_a", "_b"))
        present = [tensor for tensor in (complete, left, right) if tensor]
        if any(len(tensor.shape) != 2 or 0 in tensor.shape for tensor in present):
            return Reason("shape", f"{self.name} is no matrix")

        # Either the matrix alone, or exactly its two factors.
        is_one = complete is not None and len(present) == 1
        is_product = complete is None and len(present) == 2
        if not is_one and not is_product:
            text = f"{self.name} must be there, or both of {self.name}_a and {self.name}_b"
            return Reason("missing_tensor", text)

        if left and right and left.shape[1] != right.shape[0]:
            return Reason("shape", f"{self.name}_a and {self.name}_b make no product")
        return None

    @property
    def is_one(self) -> bool:
        """Whether the factor is stored as one matrix."""
        return self.name in self.roles

    @property
    def shape(self) -> Shape:
        if self.is_one:
            rows, columns = self.roles[self.name].shape
            return rows, columns
        return self.roles[f"{self.name}_a"].shape[0], self.roles[f"{self.name}_b"].shape[1]

    @property
    def rank(self) -> int:
        return min(self.shape) if self.is_one else self.roles[f"{self.name}_a"].shape[1]

    def value(self) -> Matrix:
        """Return the factor as one matrix."""
        return self._read("") if self.is_one else self._read("_a") @ self._read("_b")

    def left(self) -> Matrix:
        """Return the left one of two matrices of `rank` whose product is the factor."""
        # One matrix is its own product with the smaller identity.
        rows, columns = self.shape
        if not self.is_one:
            return self._read("_a")
        return np.eye(rows, dtype=np.float32) if rows <= columns else self._read("")

    def right(self) -> Matrix:
        """Return the right one of the two."""
        rows, columns = self.shape
        if not self.is_one:
            return self._read("_b")
        return self._read("") if rows <= columns else np.eye(columns, dtype=np.float32)

    def _read(self, suffix: str) -> Matrix:
        return self.source.load(self.roles[self.name + suffix])()


def _problems(module: str, one: _Factor, two: _Factor, base: BaseShapes) -> Iterator[Reason]:
    problems = [factor.problem for factor in (one, two) if factor.problem]
    for problem in problems:
        yield Reason(problem.code, f"module {quoted(module)}: {problem.text}")
    if problems:
        return

    # A Kronecker product multiplies the sides of its factors.
    outputs, inputs = (left * right for left, right in zip(one.shape, two.shape, strict=True))
    yield from product_problems(module, outputs, inputs, base.shapes[module])


def _update(one: _Factor, two: _Factor, scale: float) -> Dense:
    def delta() -> Matrix:
        return np.kron(one.value(), two.value()) * np.float32(scale)

    product = LowRank(
        a=lambda: np.kron(one.right(), two.right()),
        b=lambda: np.kron(one.left(), two.left()),
        rank=one.rank * two.rank,
        scale=scale,
    )
    return Dense(delta, product)

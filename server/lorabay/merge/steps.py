"""Updates of one tensor with their factors in memory, applied to any block of rows.

There is a class for each kind of update. Tensors are seen as matrices; a vector is a column, so
that its entries are rows, and the rows of several experts follow one another. This module does not
know files or rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lorabay.algebra.updates import (
    Dense,
    Directional,
    ExpertProducts,
    Gated,
    LowRank,
    PeftLayer,
    Replaced,
    ReplacedRows,
)
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Update
    from lorabay.files.rounding import Floats

    Matrix = tuple[int, int]
    Layer = Callable[[PeftLayer], NDArray[np.float32]]


class Step(Protocol):
    """One update of one tensor, ready to be applied to any of its rows."""

    def apply(self, rows: slice, values: Floats, scratch: Floats) -> None:
        """Change `values`, which are these rows of the tensor, in place.

        `scratch` has the same shape, and its content is lost.
        """

    def change(self) -> float | None:
        """Return the Frobenius norm of the change; None if it depends on the tensor."""


@dataclass(frozen=True, slots=True)
class Product:
    """Adds B A; the scale is in `b` already."""

    a: Floats
    b: Floats

    def apply(self, rows: slice, values: Floats, scratch: Floats) -> None:
        np.matmul(self.b[rows], self.a, out=scratch)
        values += scratch

    def change(self) -> float | None:
        # |BA|² is the trace of (B'B)(AA'), whose factors are as small as the rank.
        a = self.a.astype(np.float64)
        b = self.b.astype(np.float64)
        square = float(np.vdot(b.T @ b, a @ a.T))
        return math.sqrt(max(0.0, square))


@dataclass(frozen=True, slots=True)
class ExpertRows:
    """Adds L R to the rows of each expert; the scale is in `left` already."""

    left: Floats
    """(experts, rows, rank)"""

    right: Floats
    """(experts, rank, columns)"""

    def apply(self, rows: slice, values: Floats, scratch: Floats) -> None:
        height = self.left.shape[1]
        first = rows.start
        while first < rows.stop:
            # A block may end within an expert, and reach over several small ones.
            expert, begin = divmod(first, height)
            count = min(height - begin, rows.stop - first)

            block = slice(first - rows.start, first - rows.start + count)
            factor = self.left[expert, begin : begin + count]
            np.matmul(factor, self.right[expert], out=scratch[block])
            values[block] += scratch[block]
            first += count

    def change(self) -> float | None:
        squares = 0.0
        for left, right in zip(self.left, self.right, strict=True):
            norm = Product(right, left).change() or 0.0
            squares += norm**2
        return math.sqrt(squares)


@dataclass(frozen=True, slots=True)
class Direction:
    """Adds B A, then scales every row to its trained length."""

    product: Product
    magnitude: Floats

    def apply(self, rows: slice, values: Floats, scratch: Floats) -> None:
        self.product.apply(rows, values, scratch)
        lengths = np.sqrt(np.einsum("ij,ij->i", values, values))
        values *= (self.magnitude[rows] / lengths)[:, None]

    def change(self) -> float | None:
        return None


@dataclass(frozen=True, slots=True)
class Addition:
    """Adds a whole matrix."""

    delta: Floats

    def apply(self, rows: slice, values: Floats, scratch: Floats) -> None:
        values += self.delta[rows]

    def change(self) -> float | None:
        return float(np.linalg.norm(self.delta))


@dataclass(frozen=True, slots=True)
class Gate:
    """Multiplies rows by a column of factors, or columns by a row of factors."""

    gate: Floats

    def apply(self, rows: slice, values: Floats, scratch: Floats) -> None:
        values *= self.gate if self.gate.shape[0] == 1 else self.gate[rows]

    def change(self) -> float | None:
        return None


@dataclass(frozen=True, slots=True)
class Replacement:
    """Replaces all values."""

    fresh: Floats

    def apply(self, rows: slice, values: Floats, scratch: Floats) -> None:
        values[...] = self.fresh[rows]

    def change(self) -> float | None:
        return None


@dataclass(frozen=True, slots=True)
class RowReplacement:
    """Replaces the values of some rows."""

    order: NDArray[np.int64]
    """Numbers of the rows, ascending."""

    fresh: Floats
    """Their values."""

    def apply(self, rows: slice, values: Floats, scratch: Floats) -> None:
        first, last = np.searchsorted(self.order, (rows.start, rows.stop))
        values[self.order[first:last] - rows.start] = self.fresh[first:last]

    def change(self) -> float | None:
        return None


def prepare(update: Update, name: str, shape: Matrix, dtype: Any, layer: Layer) -> Step:
    """Load the factors of `update` in `dtype`, and return the step that applies it.

    `name` and `shape` are those of the tensor. `layer` returns the whole tensor after PEFT's own
    layer has merged into it. Raise SetupError if the factors do not fit the shape.
    """
    match update:
        case LowRank() | ExpertProducts() | Directional():
            return _low_rank(update, name, shape, dtype)
        case Dense():
            return Addition(_matrix(update.delta(), name, shape, dtype))
        case Gated():
            return _gate(update, name, shape, dtype)
        case ReplacedRows():
            return _rows(update, name, shape, dtype)
        case Replaced() | PeftLayer():
            values = update.values() if isinstance(update, Replaced) else layer(update)
            return Replacement(_matrix(values, name, shape, dtype))


def _low_rank(
    update: LowRank | ExpertProducts | Directional, name: str, shape: Matrix, dtype: Any
) -> Step:
    match update:
        case LowRank():
            return _product(update, name, shape, dtype)
        case ExpertProducts():
            return _expert_rows(update, name, shape, dtype)
        case Directional():
            return _direction(update, name, shape, dtype)


def _product(update: LowRank, name: str, shape: Matrix, dtype: Any) -> Product:
    a = update.a().astype(dtype, copy=False)
    b = update.b().astype(dtype, copy=False)
    _check(name, (b.shape[0], a.shape[1]), shape)
    _check(name, (b.shape[1], a.shape[1]), (a.shape[0], a.shape[1]))

    # Once here, not in every block.
    scaled = b * dtype(update.scale)
    return Product(np.ascontiguousarray(a), np.ascontiguousarray(scaled))


def _expert_rows(update: ExpertProducts, name: str, shape: Matrix, dtype: Any) -> ExpertRows:
    left, right = update.factors()
    experts, height, rank = left.shape
    _check(name, (experts * height, right.shape[2]), shape)
    _check(name, right.shape[:2], (experts, rank))
    return ExpertRows(
        np.ascontiguousarray(left.astype(dtype, copy=False)),
        np.ascontiguousarray(right.astype(dtype, copy=False)),
    )


def _direction(update: Directional, name: str, shape: Matrix, dtype: Any) -> Direction:
    magnitude = update.magnitude().astype(dtype, copy=False).reshape(-1)
    _check(name, magnitude.shape, (shape[0],))
    return Direction(_product(update.low_rank, name, shape, dtype), magnitude)


def _gate(update: Gated, name: str, shape: Matrix, dtype: Any) -> Gate:
    gate = update.gate().astype(dtype, copy=False)
    if gate.ndim == 1:
        gate = gate[:, None]
    # A gate of one row scales inputs, a gate of one column outputs.
    if gate.shape not in ((shape[0], 1), (1, shape[1])):
        _check(name, gate.shape, (shape[0], 1))
    return Gate(gate)


def _rows(update: ReplacedRows, name: str, shape: Matrix, dtype: Any) -> RowReplacement:
    rows = np.asarray(update.rows, np.int64)
    if rows.size and (rows.min() < 0 or rows.max() >= shape[0]):
        raise SetupError(
            f"the adapter does not fit the base: it has rows of {name} beyond its {shape[0]}"
        )

    # Stable: if a row is named twice, its last values win.
    order = np.argsort(rows, kind="stable")
    fresh = _matrix(update.values(), name, (len(rows), shape[1]), dtype)
    return RowReplacement(rows[order], fresh[order])


def _matrix(values: NDArray[np.float32], name: str, shape: Matrix, dtype: Any) -> Floats:
    """Return `values` as a matrix of this shape. Raise SetupError if their number differs."""
    if values.size != shape[0] * shape[1]:
        _check(name, values.shape, shape)
    matrix: Floats = values.astype(dtype, copy=False).reshape(shape)
    return matrix


def _check(name: str, actual: tuple[int, ...], needed: tuple[int, ...]) -> None:
    if actual != needed:
        raise SetupError(
            f"the adapter does not fit the base: {name} is {needed} there and {actual} here"
        )

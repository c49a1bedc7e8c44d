"""The kinds of update: how W', the weight with the adapter, follows from the base's weight W.

Every PEFT type is expressed in these few kinds, so that serving, merging and measuring need not
know the type. Each kind answers for itself:

- `formula`: how W' follows from W, in the notation of its paper;
- `needs_base`: whether W' depends on W at all;
- `replaces`: whether trained values take the place of the base's;
- `has_formula`: whether this program can compute W' itself;
- `low_rank`: the product B A inside the update, or None;
- `as_product()`: the change W' - W as one exact product, or None;
- `applied_to(W)`: W' of a whole weight in float32.

Weights have the shape that the base's file gives them: (outputs, inputs) for a torch.nn.Linear,
(vocabulary, hidden) for an embedding, (inputs, outputs) for a Conv1D of GPT-2, (experts, rows,
columns) for the experts of a mixture in one tensor, vectors for biases and norms. Factors fit that
shape. Nothing is read before a `Load` is called. Knows no formats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorabay.files.safetensors_header import TensorInfo

Matrix = NDArray[np.float32]

Load = Callable[[], Matrix]
"""Reads or computes one factor as float32, anew at each call; keeps nothing."""


@dataclass(frozen=True, slots=True)
class StoredFactor:
    """A `Load` that knows which tensor of the adapter's file it reads.

    A plain LoRA whose factors are all stored can be served without changing a bit.
    """

    tensor: TensorInfo
    read: Load
    is_transposed: bool = False

    def __call__(self) -> Matrix:
        values = self.read()
        return np.ascontiguousarray(values.T) if self.is_transposed else values


def transposed(load: Load) -> Load:
    """Return a `Load` of the transpose; a transpose of a transpose is the tensor as stored."""
    if isinstance(load, StoredFactor):
        return StoredFactor(load.tensor, load.read, not load.is_transposed)
    return lambda: np.ascontiguousarray(load().T)


@dataclass(frozen=True, slots=True)
class LowRank:
    """W' = W + scale * B A (Hu et al. 2021), with A (rank, inputs) and B (outputs, rank)."""

    formula: ClassVar[str] = "W + s B A"
    needs_base: ClassVar[bool] = True
    replaces: ClassVar[bool] = False
    has_formula: ClassVar[bool] = True

    a: Load
    b: Load
    rank: int
    scale: float

    @property
    def low_rank(self) -> LowRank:
        return self

    @property
    def transposed(self) -> LowRank:
        """This change for the transposed weight."""
        return LowRank(transposed(self.b), transposed(self.a), self.rank, self.scale)

    @property
    def stored(self) -> tuple[TensorInfo, TensorInfo] | None:
        """The tensors of the adapter's file that A and B are; None where either is computed."""
        if not isinstance(self.a, StoredFactor) or not isinstance(self.b, StoredFactor):
            return None
        if self.a.is_transposed or self.b.is_transposed:
            return None
        return self.a.tensor, self.b.tensor

    def as_product(self) -> LowRank | None:
        return self

    def delta(self) -> Matrix:
        """Return scale * B A as a matrix."""
        b: Matrix = self.b() * np.float32(self.scale)
        return b @ self.a()

    def applied_to(self, weight: Matrix) -> Matrix:
        return weight + self.delta()


@dataclass(frozen=True, slots=True)
class ExpertProducts:
    """W'[e] = W[e] + scale * B[e] A[e]: LoRA on the experts of a mixture that are one tensor.

    A is (experts, rank, inputs), and B is (experts, outputs, rank). W[e] is (outputs, inputs), or
    the other way round where `inputs_first`.
    """

    formula: ClassVar[str] = "W[e] + s B[e] A[e]"
    needs_base: ClassVar[bool] = True
    replaces: ClassVar[bool] = False
    has_formula: ClassVar[bool] = True
    low_rank: ClassVar[LowRank | None] = None

    a: Load
    b: Load
    rank: int
    scale: float
    inputs_first: bool = False

    def factors(self) -> tuple[Matrix, Matrix]:
        """Return L and R, whose product is the change of W as it is stored; the scale is in L."""
        left, right = self.b(), self.a()
        if self.inputs_first:
            left, right = right.transpose(0, 2, 1), left.transpose(0, 2, 1)
        return left * np.float32(self.scale), right

    def as_product(self) -> LowRank | None:
        return None

    def delta(self) -> Matrix:
        """Return the change of all experts, in the shape of W."""
        left, right = self.factors()
        changes: Matrix = np.matmul(left, right)
        return changes

    def applied_to(self, weight: Matrix) -> Matrix:
        return weight + self.delta()


@dataclass(frozen=True, slots=True)
class Directional:
    """DoRA (Liu et al. 2024): W' = m / ||W + s B A|| * (W + s B A).

    Norms are taken by output row; m is (outputs,).
    """

    formula: ClassVar[str] = "m (W + s B A) / ||W + s B A||"
    needs_base: ClassVar[bool] = True
    replaces: ClassVar[bool] = False
    has_formula: ClassVar[bool] = True

    low_rank: LowRank
    magnitude: Load

    def as_product(self) -> LowRank | None:
        return None

    def output_scale(self, blocks: Iterable[tuple[int, Matrix]]) -> Matrix:
        """Return c = m / ||W + s B A|| for every output, so that W' x = c ⊙ (W x + s B A x).

        `blocks` are rows of W, each block with the number of its first row. Sums are taken in
        float64. A row of zeros gives a value that is not finite.
        """
        magnitude = self.magnitude().astype(np.float64)
        scale = np.empty_like(magnitude)

        # Values that are not finite are reported by whoever reads the result.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            a = self.low_rank.a()
            b = self.low_rank.b() * np.float32(self.low_rank.scale)
            for first, weight in blocks:
                rows = slice(first, first + len(weight))
                moved = b[rows] @ a
                moved += weight
                squares = np.einsum("ij,ij->i", moved, moved, dtype=np.float64)
                scale[rows] = magnitude[rows] / np.sqrt(squares)
            return scale.astype(np.float32)

    def applied_to(self, weight: Matrix) -> Matrix:
        scale = self.output_scale([(0, weight)])
        return self.low_rank.applied_to(weight) * scale[:, None]


@dataclass(frozen=True, slots=True)
class Dense:
    """W' = W + D, with D in the shape of W (LoHa, LoKr; biases).

    `factors` is the same D as an exact product, whose rank may exceed the sides of the matrix.
    """

    formula: ClassVar[str] = "W + D"
    needs_base: ClassVar[bool] = True
    replaces: ClassVar[bool] = False
    has_formula: ClassVar[bool] = True
    low_rank: ClassVar[LowRank | None] = None

    delta: Load
    factors: LowRank | None = None

    def as_product(self) -> LowRank | None:
        return self.factors

    def applied_to(self, weight: Matrix) -> Matrix:
        return weight + self.delta()


@dataclass(frozen=True, slots=True)
class Gated:
    """W' = gate * W ((IA)³, Liu et al. 2022).

    The gate is (outputs, 1), (1, inputs), or (outputs,) for a bias.
    """

    formula: ClassVar[str] = "g W"
    needs_base: ClassVar[bool] = True
    replaces: ClassVar[bool] = False
    has_formula: ClassVar[bool] = True
    low_rank: ClassVar[LowRank | None] = None

    gate: Load

    def as_product(self) -> LowRank | None:
        return None

    def applied_to(self, weight: Matrix) -> Matrix:
        return weight * self.gate()


@dataclass(frozen=True, slots=True)
class Replaced:
    """W' = values: a module, norm or bias that was trained as a whole.

    `is_marked_copy` is set for a tensor that PEFT saves beside LoRA on an embedding or head. It is
    the base's own tensor, unless the base was changed before the training.
    """

    formula: ClassVar[str] = "trained as a whole"
    needs_base: ClassVar[bool] = False
    replaces: ClassVar[bool] = True
    has_formula: ClassVar[bool] = True
    low_rank: ClassVar[LowRank | None] = None

    values: Load
    is_marked_copy: bool = False

    def as_product(self) -> LowRank | None:
        return None

    def applied_to(self, weight: Matrix) -> Matrix:
        return self.values()


@dataclass(frozen=True, slots=True)
class ReplacedRows:
    """W'[rows] = values (rows, hidden); other rows stay (PEFT's `trainable_token_indices`)."""

    formula: ClassVar[str] = "rows trained as a whole"
    needs_base: ClassVar[bool] = True
    replaces: ClassVar[bool] = True
    has_formula: ClassVar[bool] = True
    low_rank: ClassVar[LowRank | None] = None

    rows: tuple[int, ...]
    values: Load

    def as_product(self) -> LowRank | None:
        return None

    def applied_to(self, weight: Matrix) -> Matrix:
        changed = weight.copy()
        changed[list(self.rows)] = self.values()
        return changed


@dataclass(frozen=True, slots=True)
class PeftLayer:
    """W' is computed by PEFT's own layer; this program has no formula for the type.

    `tensors` are the names of the layer's tensors in the adapter's file, `shared` the names of the
    tensors that all layers share.
    """

    formula: ClassVar[str] = "PEFT's own layer"
    needs_base: ClassVar[bool] = True
    replaces: ClassVar[bool] = False
    has_formula: ClassVar[bool] = False
    low_rank: ClassVar[LowRank | None] = None

    module: str
    tensors: tuple[str, ...]
    shared: tuple[str, ...] = ()

    def as_product(self) -> LowRank | None:
        return None

    def applied_to(self, weight: Matrix) -> Matrix:
        raise TypeError(f"only PEFT can compute the weight of {self.module}")


Update = (
    LowRank | ExpertProducts | Directional | Dense | Gated | Replaced | ReplacedRows | PeftLayer
)
"""Any kind of update."""


def change(updates: Iterable[Update], weight: Matrix) -> Matrix:
    """Return W' - W after all `updates` of a whole weight W, applied in order.

    W and W' have the same shape; neither is modified. Three copies of W are in memory at most.
    """
    changed = weight
    for update in updates:
        changed = update.applied_to(changed)
    return np.subtract(changed, weight, dtype=np.float32)

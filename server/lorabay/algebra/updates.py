"""What an adapter does to one weight of the base, as data: the kinds of update and where their
factors come from.

Every PEFT format ends as a few of these kinds. Who serves turns them into plain LoRA pairs, who
merges applies them to the weight; neither needs to know the format. Weights are what the base's
file holds: matrices (outputs, inputs) as torch.nn.Linear stores them, embeddings (vocabulary,
hidden), a Conv1D of GPT-2 (inputs, outputs), biases and norms as vectors; factors fit that form.
Nothing is read before a `Load` is called. Knows no files and no base values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Load = Callable[[], NDArray[np.float32]]
"""Reads (or computes) one factor, exactly as stored, widened to float32. Called once for each use;
keeps nothing.
"""


@dataclass(frozen=True, slots=True)
class LowRank:
    """W' = W + scale * B A (Hu et al. 2021), with A (rank, inputs) and B (outputs, rank)."""

    a: Load
    b: Load
    rank: int
    scale: float

    @property
    def transposed(self) -> LowRank:
        """The same change of the transposed weight."""
        return LowRank(transposed(self.b), transposed(self.a), self.rank, self.scale)


def transposed(load: Load) -> Load:
    """The transpose of what `load` reads."""
    return lambda: np.ascontiguousarray(load().T)


@dataclass(frozen=True, slots=True)
class Directional:
    """W' = m / ||W + s B A|| * (W + s B A), norms by output row, m (outputs,) (DoRA, Liu et al.
    2024).
    """

    low_rank: LowRank
    magnitude: Load


@dataclass(frozen=True, slots=True)
class Dense:
    """W' = W + D, with D in the shape of W (LoHa, LoKr; biases). `factors` is the same D as a
    product, of a rank that may be larger than the matrix."""

    delta: Load
    factors: LowRank | None = None


@dataclass(frozen=True, slots=True)
class Gated:
    """W' = W * gate, with gate (outputs, 1), (1, inputs), or (outputs,) for a bias ((IA)^3, Liu et
    al. 2022).
    """

    gate: Load


@dataclass(frozen=True, slots=True)
class Replaced:
    """W' = values: a module, norm or bias that was trained as a whole.

    `copied_as` is set for what PEFT saves beside LoRA on an embedding or head: the base's own
    tensor in that dtype, unless the base was changed before the training.
    """

    values: Load
    copied_as: str | None = None


@dataclass(frozen=True, slots=True)
class ReplacedRows:
    """W'[rows] = values (rows, hidden); the other rows stay (`trainable_token_indices`)."""

    rows: tuple[int, ...]
    values: Load


@dataclass(frozen=True, slots=True)
class PeftLayer:
    """W' is what PEFT's own layer of the adapter's type makes of W; there is no formula of ours.

    `tensors` are the names, in the adapter's file, of what belongs to the layer of `module`;
    `shared` of what belongs to all.
    """

    module: str
    tensors: tuple[str, ...]
    shared: tuple[str, ...] = ()


Update = LowRank | Directional | Dense | Gated | Replaced | ReplacedRows | PeftLayer
"""One of the kinds above."""

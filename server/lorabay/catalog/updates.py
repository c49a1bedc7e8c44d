"""What an adapter does to one weight of the base, as data: the kinds of update and where their factors come from.

Every PEFT format ends as a few of these kinds. Who serves turns them into plain LoRA pairs, who merges applies them
to the weight; neither needs to know the format. Weights are matrices (outputs, inputs) as torch.nn.Linear stores
them, embeddings (vocabulary, hidden). Nothing is read before a `Load` is called. Knows no files and no base values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Load = Callable[[], NDArray[np.float32]]
"""Reads (or computes) one factor, exactly as stored, widened to float32. Called once for each use; keeps nothing."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """W' = W + scale * B A (Hu et al. 2021), with A (rank, inputs) and B (outputs, rank)."""

    a: Load
    b: Load
    rank: int
    scale: float


@dataclass(frozen=True, slots=True)
class Directional:
    """W' = m / ||W + s B A|| * (W + s B A), norms by output row (DoRA, Liu et al. 2024); `magnitude` is m (outputs,)."""

    low_rank: LowRank
    magnitude: Load


@dataclass(frozen=True, slots=True)
class Dense:
    """W' = W + D, where D (outputs, inputs) is of no known low rank (LoHa, LoKr)."""

    delta: Load


@dataclass(frozen=True, slots=True)
class Gated:
    """W' = W * gate, with gate (outputs, 1) or (1, inputs) ((IA)^3, Liu et al. 2022)."""

    gate: Load


@dataclass(frozen=True, slots=True)
class Replaced:
    """W' = values: a module, norm or bias that was trained as a whole."""

    values: Load


@dataclass(frozen=True, slots=True)
class ReplacedRows:
    """W'[rows] = values (rows, hidden); the other rows stay (`trainable_token_indices`)."""

    rows: tuple[int, ...]
    values: Load


Update = LowRank | Directional | Dense | Gated | Replaced | ReplacedRows
"""One of the kinds above."""

"""Each kind of update, applied to blocks of rows of any height, is its formula on the whole
matrix.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies

from lorabay.algebra.updates import (
    Dense,
    Directional,
    ExpertProducts,
    Gated,
    LowRank,
    Replaced,
    ReplacedRows,
    Update,
)
from lorabay.errors import SetupError
from lorabay.merge.steps import prepare

OUT, INTO, RANK = 13, 7, 3
RANDOM = np.random.default_rng(0)
W, D = (RANDOM.standard_normal((OUT, INTO)).astype(np.float32) for _ in range(2))
A, B = (
    RANDOM.standard_normal((RANK, INTO)).astype(np.float32),
    RANDOM.standard_normal((OUT, RANK)).astype(np.float32),
)
M = RANDOM.standard_normal(OUT).astype(np.float32)
LOW = LowRank(lambda: A, lambda: B, RANK, 0.5)
MOVED = W + 0.5 * B @ A

KINDS: dict[str, tuple[Update, np.ndarray]] = {
    "low rank": (LOW, MOVED),
    "directional": (
        Directional(LOW, lambda: M),
        M[:, None] * MOVED / np.linalg.norm(MOVED, axis=1, keepdims=True),
    ),
    "dense": (Dense(lambda: D), W + D),
    "gated outputs": (Gated(lambda: M[:, None]), W * M[:, None]),
    "gated inputs": (Gated(lambda: D[:1]), W * D[:1]),
    "replaced": (Replaced(lambda: D), D),
    "rows": (
        ReplacedRows((9, 0, 4), lambda: D[:3]),
        np.stack([{9: D[0], 0: D[1], 4: D[2]}.get(row, W[row]) for row in range(OUT)]),
    ),
}


def no_layer(_: object) -> np.ndarray:
    raise AssertionError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(height=strategies.integers(1, OUT + 2))
def test_blocks_of_any_height(kind: str, dtype: type, height: int) -> None:
    """And where the norm of the change is told beforehand, it is right."""
    update, expected = KINDS[kind]
    step = prepare(update, "x", (OUT, INTO), dtype, no_layer)
    values = W.astype(dtype)
    for first in range(0, OUT, height):
        rows = slice(first, min(first + height, OUT))
        step.apply(rows, values[rows], np.empty_like(values[rows]))
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    told = step.change()
    assert told is None or math.isclose(told, float(np.linalg.norm(expected - W)), rel_tol=1e-4)


@pytest.mark.parametrize(
    "update",
    [
        LowRank(lambda: A[:, :-1], lambda: B, RANK, 1.0),
        LowRank(lambda: A[:-1], lambda: B, RANK, 1.0),
        Directional(LOW, lambda: M[1:]),
        ExpertProducts(lambda: A[None], lambda: B[None, 1:], RANK, 1.0),
        Dense(lambda: D[1:]),
        Gated(lambda: M[1:, None]),
        ReplacedRows((OUT,), lambda: D[:1]),
    ],
)
def test_factors_that_do_not_fit(update: Update) -> None:
    """The tensor is named."""
    with pytest.raises(SetupError, match=r"does not fit the base.*model\.x"):
        prepare(update, "model.x", (OUT, INTO), np.float32, no_layer)


@pytest.mark.parametrize("inputs_first", [False, True])
@given(height=strategies.integers(1, 17))
def test_blocks_end_within_experts_and_reach_over_them(inputs_first: bool, height: int) -> None:
    """The rows of all experts follow one another, and each gets its own expert's change."""
    experts, rows, columns = 3, 5, 7
    a, b = ((RANK, columns), (rows, RANK)) if not inputs_first else ((RANK, rows), (columns, RANK))
    factors = [RANDOM.standard_normal((experts, *side)).astype(np.float32) for side in (a, b)]
    update = ExpertProducts(lambda: factors[0], lambda: factors[1], RANK, 0.5, inputs_first)
    weight = RANDOM.standard_normal((experts, rows, columns)).astype(np.float32)

    step = prepare(update, "x", (experts * rows, columns), np.float32, no_layer)
    values = weight.reshape(-1, columns).copy()
    for first in range(0, len(values), height):
        block = slice(first, min(first + height, len(values)))
        step.apply(block, values[block], np.empty_like(values[block]))

    expected = update.applied_to(weight)
    np.testing.assert_allclose(values.reshape(weight.shape), expected, rtol=1e-5, atol=1e-6)
    told = step.change()
    assert told is not None
    assert math.isclose(told, float(np.linalg.norm(update.delta())), rel_tol=1e-4)

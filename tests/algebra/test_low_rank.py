"""The best product of a rank is as good as the exact SVD's, and its error is real."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from lorabay.algebra.low_rank import Decomposed, Rule, decompose_dense, decompose_product
from lorabay.algebra.updates import LowRank
from tests.examples import examples


def product(outputs: int, inputs: int, rank: int, seed: int) -> LowRank:
    random = np.random.default_rng(seed)
    decay = 2.0 ** -np.arange(rank)
    a = (random.standard_normal((rank, inputs)) * decay[:, None]).astype(np.float32)
    b = random.standard_normal((outputs, rank)).astype(np.float32)
    return LowRank(lambda: a, lambda: b, rank, 0.5)


def dense(update: LowRank) -> np.ndarray:
    return update.scale * update.b().astype(np.float64) @ update.a().astype(np.float64)


def check(found: Decomposed, delta: np.ndarray, rank: int, slack: float) -> None:
    """Assert that the product is within `slack` of the best one, and reports its real error."""
    a, b = found.factors(rank)
    assert a.shape[0] == b.shape[1] == rank
    made = float(np.linalg.norm(delta - b.astype(np.float64) @ a))
    best = float(np.sqrt(np.sum(np.linalg.svd(delta, compute_uv=False)[rank:] ** 2)))
    whole = float(np.linalg.norm(delta))
    assert made <= best * slack + 1e-5 * whole
    assert found.residual(rank) == pytest.approx(made, rel=1e-3, abs=1e-4 * whole)
    assert found.norm == pytest.approx(whole, rel=1e-5)


@settings(max_examples=examples(40))
@given(
    outputs=st.integers(1, 40),
    inputs=st.integers(1, 40),
    rank=st.integers(1, 12),
    keep=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_products_are_cut_as_well_as_can_be(
    outputs: int, inputs: int, rank: int, keep: int, seed: int
) -> None:
    """The factors may have a rank that exceeds the sides of the matrix."""
    update = product(outputs, inputs, rank, seed)
    found = decompose_product(update)
    check(found, dense(update), min(keep, len(found.s)), slack=1.0)


@pytest.mark.parametrize("keep", [1, 8, 30])
@pytest.mark.parametrize("shape", [(50, 60), (300, 200)])
def test_dense_changes_are_cut_nearly_as_well(keep: int, shape: tuple[int, int]) -> None:
    """A small rank takes a sketch, a larger one the complete SVD; both are deterministic."""
    random = np.random.default_rng(1)
    delta = random.standard_normal(shape) @ np.diag(0.9 ** np.arange(shape[1]))
    found = decompose_dense(delta.astype(np.float32), Rule(rank=keep))
    check(found, delta.astype(np.float32).astype(np.float64), keep, slack=1.02)
    again = decompose_dense(delta.astype(np.float32), Rule(rank=keep))
    assert all(
        np.array_equal(one, two)
        for one, two in zip(found.factors(keep), again.factors(keep), strict=True)
    )


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.999, 1.0])
def test_energy_gives_the_smallest_rank_that_keeps_it(energy: float) -> None:
    """The rank reaches the share of the squared norm; all of it keeps the complete rank."""
    update = product(40, 50, 10, 3)
    spectrum = np.linalg.svd(dense(update), compute_uv=False)[:10] ** 2
    kept = np.cumsum(spectrum) / spectrum.sum()
    expected = int(np.argmax(kept >= energy * (1 - 1e-6))) + 1
    assert decompose_product(update).rank_for(Rule(energy=energy)) == expected
    assert decompose_product(update).rank_for(Rule(2, energy)) == min(2, expected)


def test_no_change_has_a_rank_of_one() -> None:
    """Zeros are kept as one row of zeros."""
    zeros = np.zeros((6, 5), np.float32)
    found = decompose_dense(zeros, Rule())
    assert found.rank_for(Rule(energy=0.9)) == 1
    assert found.residual(1) == 0.0
    assert not found.factors(1)[0].any()


def test_what_is_not_finite_is_no_matrix() -> None:
    """NaN raises LinAlgError at once."""
    with pytest.raises(np.linalg.LinAlgError):
        decompose_dense(np.full((4, 4), np.nan, np.float32), Rule())
